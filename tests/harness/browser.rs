//! Headless Chromium through its driver, which speaks JSON over HTTP.
//!
//! The tests need a dozen commands of the `WebDriver` protocol (<https://www.w3.org/TR/webdriver2/>), so
//! this is the HTTP client of the harness and no client library with a runtime of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::{http, programs, skip, wait};

/// The longest that a page may take to load or a condition on it to come true.
const PAGE_WITHIN: Duration = Duration::from_secs(60);

/// How the protocol names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window of a headless Chromium of its own, with an empty profile folder.
#[derive(Debug)]
pub struct Browser {
    session: String,
    _driver: Process,
    _folder: TempDir,
}

/// An element of the page that is open.
#[derive(Debug, Clone)]
pub struct Element(String);

impl Browser {
    /// Starts Chromium, or skips the test where Chromium or its driver is not installed.
    ///
    /// # Errors
    /// When it is installed and does not start.
    ///
    /// # Panics
    /// When it is not installed and `CI=true`.
    pub fn start() -> Result<Option<Self>> {
        let Some((chromium, driver)) = installed() else {
            skip("chromium and chromedriver are not installed");
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(driver);
        command.arg("--port=0").env("HOME", folder.path());
        let mut driver = Process::start(command)?;
        let port: u16 = driver.line("its port", wait::SOON, |line| {
            line.split_once("started successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        })?;
        let root = format!("http://127.0.0.1:{port}/session");
        let session = call(&root, Some(&capabilities(&chromium, folder.path())))?;
        let id = session["sessionId"]
            .as_str()
            .context("a session without an id")?;
        let browser = Self {
            session: format!("{root}/{id}"),
            _driver: driver,
            _folder: folder,
        };
        browser.open("about:blank")?;
        browser.requests()?; // those of the browser's own first page
        Ok(Some(browser))
    }

    /// Opens a page and waits until it has loaded.
    ///
    /// # Errors
    /// When it does not load.
    pub fn open(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).map(drop)
    }

    /// Runs a script, the body of a function, in the page and gives what it returns.
    ///
    /// # Errors
    /// When it throws.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script gives something other than `null` or `false`.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn until(&self, what: &str, script: &str) -> Result<Value> {
        wait::until(what, PAGE_WITHIN, || {
            self.script(script)
                .ok()
                .filter(|value| !matches!(value, Value::Null | Value::Bool(false)))
        })
        .with_context(|| {
            format!(
                "the page says: {:?}",
                self.script("return document.body.innerText")
            )
        })
    }

    /// The first element that the `XPath` expression finds, once there is one.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn element(&self, xpath: &str) -> Result<Element> {
        let by = json!({ "using": "xpath", "value": xpath });
        wait::until(xpath, PAGE_WITHIN, || {
            let found = self.command("element", &by).ok()?;
            Some(Element(found[ELEMENT].as_str()?.to_owned()))
        })
    }

    /// The element that a script returns, once it does.
    ///
    /// # Errors
    /// When it returns none in time.
    pub fn found_by(&self, what: &str, script: &str) -> Result<Element> {
        let found = self.until(what, script)?;
        let id = found[ELEMENT]
            .as_str()
            .with_context(|| format!("{what}: {found}"))?;
        Ok(Element(id.to_owned()))
    }

    /// Clicks on the middle of an element, as the mouse would.
    ///
    /// # Errors
    /// When it cannot be clicked, such as when something else lies over it.
    pub fn click(&self, element: &Element) -> Result<()> {
        self.command(&format!("element/{}/click", element.0), &json!({}))
            .map(drop)
    }

    /// Types text into an element.
    ///
    /// # Errors
    /// When it takes none.
    pub fn type_into(&self, element: &Element, text: &str) -> Result<()> {
        let keys = json!({ "text": text });
        self.command(&format!("element/{}/value", element.0), &keys)
            .map(drop)
    }

    /// Makes an `iframe` the page that the other commands speak of.
    ///
    /// # Errors
    /// When it is none.
    pub fn enter(&self, element: &Element) -> Result<()> {
        self.command("frame", &json!({ "id": { ELEMENT: element.0 } }))
            .map(drop)
    }

    /// Makes the outermost page the one that the other commands speak of.
    ///
    /// # Errors
    /// When the window is gone.
    pub fn leave(&self) -> Result<()> {
        self.command("frame", &json!({ "id": null })).map(drop)
    }

    /// Keeps a picture of the window as `target/e2e/NAME.png`, says where, and gives the path.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub fn keep_screenshot(&self, name: &str) -> Result<PathBuf> {
        let path = programs::kept()?.join(name).with_extension("png");
        let picture = call(&format!("{}/screenshot", self.session), None)?;
        let png = from_base64(picture.as_str().context("a picture without data")?);
        ensure!(png.starts_with(b"\x89PNG"), "the picture is no PNG");
        std::fs::write(&path, png)?;
        let line = format!("screenshot: {}\n", path.display());
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
        Ok(path)
    }

    /// The errors that the pages wrote to the console since the last call: exceptions, failed
    /// requests and breaches of the content security policy among them.
    ///
    /// # Errors
    /// When the window is gone.
    pub fn errors(&self) -> Result<Vec<String>> {
        let entries = self.command("se/log", &json!({ "type": "browser" }))?;
        Ok(entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].to_string())
            .collect())
    }

    /// The URLs that the pages asked for since the last call, `data:` and `blob:` left out.
    ///
    /// # Errors
    /// When the window is gone.
    pub fn requests(&self) -> Result<Vec<String>> {
        let entries = self.command("se/log", &json!({ "type": "performance" }))?;
        Ok(entries
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok())
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| {
                let url = event["message"]["params"]["request"]["url"]
                    .as_str()?
                    .to_owned();
                (!url.starts_with("data:") && !url.starts_with("blob:")).then_some(url)
            })
            .collect())
    }

    fn command(&self, path: &str, body: &Value) -> Result<Value> {
        call(&format!("{}/{path}", self.session), Some(body))
    }
}

/// The programs, by the names that Debian gives them or as the environment says.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH")?;
    let find = |name: &str| {
        std::env::split_paths(&path)
            .map(|p| p.join(name))
            .find(|p| p.exists())
    };
    Some((find("chromium")?, find("chromedriver")?))
}

fn capabilities(chromium: &Path, folder: &Path) -> Value {
    let folder = format!("--user-data-dir={}", folder.join("profile").display());
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "goog:chromeOptions": {
            "binary": chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
                // speedscope draws with WebGL, here on the processor
                "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                // nothing of the browser's own may leave the machine
                "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--disable-quic", "--window-size=1280,1000", folder,
            ],
        },
    } } })
}

/// One command: the `value` of the answer.
fn call(url: &str, body: Option<&Value>) -> Result<Value> {
    let answer = match body {
        Some(body) => http::post(
            url,
            &[("content-type", "application/json; charset=utf-8")],
            body.to_string().as_bytes(),
        )?,
        None => http::get(url)?,
    };
    let mut value = answer.json()?;
    let value = value["value"].take();
    ensure!(answer.status == 200, "{url}: {value}");
    Ok(value)
}

/// Decodes base64, which is what pictures come in.
fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut held = 0;
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            bytes.push(byte);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}
