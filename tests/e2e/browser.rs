//! The pages of the running demo in a real browser: they work, they ask nobody else, and the
//! console stays silent. Pictures of them are kept.

use anyhow::{Context as _, Result, bail, ensure};
use harness::browser::Browser;
use harness::demo::Demo;

/// The widest frame of the shop's own that is not as wide as the graph.
const A_FRAME_OF_THE_SHOP: &str = r#"
    const graph = document.querySelector(".graph-frame > svg").getBoundingClientRect().width;
    const own = [...document.querySelectorAll('#frames g')]
        .filter((g) => g.querySelector("title")?.textContent.includes("shop::"))
        .map((g) => g.querySelector("rect"))
        .map((rect) => ({ rect, width: rect.getBoundingClientRect().width }))
        .filter(({ width }) => width > 20 && width < graph * 0.9)
        .sort((a, b) => b.width - a.width);
    if (own.length === 0) return null;
    own[0].rect.scrollIntoView({ block: "center" });
    return own[0].rect;
"#;

/// How wide the rectangle that was clicked on is, as a share of the graph.
const WIDEST_OF_THE_SHOP: &str = r#"
    const graph = document.querySelector(".graph-frame > svg").getBoundingClientRect().width;
    const own = [...document.querySelectorAll('#frames g')]
        .filter((g) => g.querySelector("title")?.textContent.includes("shop::"))
        .map((g) => g.querySelector("rect").getBoundingClientRect().width / graph);
    return own.filter((share) => share > 0.9).length;
"#;

/// Whether speedscope's table shows functions of the shop. Only the rows in sight are there: first
/// come those that most of the time was spent below once the table is sorted so.
const SHOP_IN_THE_TABLE: &str = r#"
    if (document.body.innerText.includes("shop::")) return true;
    const total = [...document.querySelectorAll("th")]
        .find((head) => head.textContent.includes("Total") && head.offsetParent !== null);
    total?.click();
    return false;
"#;

/// Whether the button that undoes a zoom can be pressed.
const IS_ZOOMED: &str = r#"return document.querySelector(".graph-reset").disabled === false"#;

/// How far below the top of the graph the request layer's frame is drawn, in pixels; negative
/// above it.
const LAYER_BELOW_TOP: &str = r#"
    const top = document.querySelector(".graph-frame").getBoundingClientRect().top;
    const layer = [...document.querySelectorAll('#frames g')].find((g) =>
        g.querySelector("title").textContent.includes("flashlamp::request::layer::RequestFuture"));
    return layer.querySelector("rect").getBoundingClientRect().top - top;
"#;

/// The levels of the runtime above the request layer are hidden at first, and a button shows
/// them.
fn check_runtime_levels(browser: &Browser) -> Result<()> {
    browser.until(
        "the runtime's levels are hidden",
        &format!(
            "const below = (() => {{ {LAYER_BELOW_TOP} }})(); return below > -20 && below < 20"
        ),
    )?;
    let button = browser.element("//button[contains(@class, 'graph-levels')]")?;
    browser.click(&button)?;
    browser.until(
        "the button shows them",
        &format!("return (() => {{ {LAYER_BELOW_TOP} }})() > 200"),
    )?;
    browser.click(&button)?;
    Ok(())
}

/// Clicks into the graph and out again.
fn check_zoom(browser: &Browser) -> Result<()> {
    let frame = browser.found_by("a frame of the shop", A_FRAME_OF_THE_SHOP)?;
    let wide_before = browser
        .script(WIDEST_OF_THE_SHOP)?
        .as_u64()
        .context("no count")?;
    ensure!(
        browser.script(IS_ZOOMED)? == false,
        "not zoomed before the click"
    );
    browser.click(&frame)?;
    browser.until("the click zooms", IS_ZOOMED)?;
    let wide_after = browser
        .script(WIDEST_OF_THE_SHOP)?
        .as_u64()
        .context("no count")?;
    ensure!(
        wide_after > wide_before,
        "the frame takes the graph: {wide_before} to {wide_after}"
    );
    browser.click(&browser.element("//button[contains(@class, 'graph-reset')]")?)?;
    browser.until(
        "the button undoes it",
        &format!("return !(() => {{ {IS_ZOOMED} }})()"),
    )?;
    Ok(())
}

/// Searches the graph for the shop's functions.
fn check_search(browser: &Browser) -> Result<()> {
    let field = browser.element("//input[contains(@class, 'graph-find')]")?;
    browser.type_into(&field, "shop::")?;
    let says = r#"const text = document.querySelector(".graph-match").textContent;
                  return text.includes("%") && text"#;
    let matched = browser.until("the search says how much it matched", says)?;
    ensure!(
        !matched.to_string().contains(" 0%"),
        "something matched: {matched}"
    );
    let fills = |own: bool| {
        let script = format!(
            "return [...new Set([...document.querySelectorAll('#frames g')]
                .filter((g) => g.querySelector('title').textContent.includes('shop::') === {own})
                .map((g) => g.querySelector('rect').getAttribute('fill')))]"
        );
        browser.script(&script)
    };
    let (marked, others) = (fills(true)?, fills(false)?);
    let [mark] = marked.as_array().map_or(&[][..], Vec::as_slice) else {
        bail!("all that matched has one colour: {marked}");
    };
    ensure!(
        !others
            .as_array()
            .is_some_and(|others| others.contains(mark)),
        "and that is its own"
    );
    Ok(())
}

/// Checks that the pages since the last call asked nobody else and did not complain.
fn check_quiet(browser: &Browser, page: &str) -> Result<()> {
    let requests = browser.requests()?;
    ensure!(
        !requests.is_empty(),
        "{page}: the browser's log of requests works"
    );
    for url in requests {
        ensure!(url.starts_with("http://127.0.0.1:"), "{page} asks {url}");
    }
    let errors = browser.errors()?;
    ensure!(errors.is_empty(), "{page}: {errors:?}");
    Ok(())
}

#[test]
fn pages_of_the_demo_zoom_search_and_show_the_request_in_time_order() -> Result<()> {
    let Some(browser) = Browser::start()? else {
        return Ok(());
    };
    let mut demo = Demo::start(&[])?;
    let index = demo.printed("the index")?;
    let request = demo.printed("one request's flame graph")?;
    let day = demo.printed("the day's flame graph")?;

    browser.open(&index)?;
    let to_the_day =
        browser.element("//a[contains(@href, '/day/') and contains(@href, '/shop')]")?;
    browser.keep_screenshot("index")?;
    check_quiet(&browser, "the index")?;
    browser.click(&to_the_day)?;
    browser.until(
        "the link leads to the day",
        "return location.pathname.startsWith('/day/')",
    )?;

    browser.open(&day)?;
    check_runtime_levels(&browser)?;
    check_zoom(&browser)?;
    check_search(&browser)?;
    browser.keep_screenshot("day")?;
    let reversed = browser.element("//a[contains(@href, 'reverse')]")?;
    browser.click(&reversed)?;
    browser.until(
        "the reversed graph",
        "return location.search.includes('reverse')",
    )?;
    browser.element("//*[@id = 'frames']")?;
    browser.keep_screenshot("day-reversed")?;
    check_quiet(&browser, "the day")?;

    browser.open(&request)?;
    check_zoom(&browser)?;
    browser.keep_screenshot("request")?;
    browser.enter(&browser.element("//iframe")?)?;
    let sandwich = browser.element("//*[text() = 'Sandwich' or text() = '🥪Sandwich']")?;
    browser.click(&sandwich)?;
    browser.until("speedscope lists the shop's functions", SHOP_IN_THE_TABLE)?;
    browser.leave()?;
    browser.keep_screenshot("request-in-speedscope")?;
    check_quiet(&browser, "the request")?;

    let status = demo.interrupt()?;
    ensure!(status.success(), "{status}");
    Ok(())
}
