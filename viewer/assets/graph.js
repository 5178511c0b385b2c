// @ts-check
// The tools around a flame graph and the sorting of tables. Plain script, no build step; it runs
// before the graph's own script (inferno's), whose functions it calls once the page is loaded:
// zoom, unzoom, search, reset_search, find_group, get_params, parse_params.
"use strict";
(() => {
  /** @type {any} */
  const graphScript = window;

  // The frame of the agent's tower layer: below it stands what a request did.
  const REQUEST_LAYER = "flashlamp::request::layer::RequestFuture";

  // The graph's script cannot restore a zoom inside an HTML document (it looks the frame up by an
  // XML namespace and fails). So its parameters are taken away before it starts, and put back.
  const asked = new URLSearchParams(window.location.search);
  const zoomedTo = { x: asked.get("x"), y: asked.get("y") };
  const hasZoom = zoomedTo.x !== null && zoomedTo.y !== null;
  const withoutZoom = window.location.search
    .replace(/^\?/, "")
    .split("&")
    .filter((pair) => !/^[xy]=/.test(pair))
    .join("&");
  if (hasZoom) {
    history.replaceState(null, "", window.location.pathname + (withoutZoom ? "?" + withoutZoom : ""));
  }

  // The graph's script cannot bear a graph without a width (a hidden or closing window).
  window.addEventListener("resize", (event) => {
    const svg = document.querySelector(".graph-frame > svg");
    if (svg && svg.getBoundingClientRect().width <= 20) event.stopImmediatePropagation();
  });

  /** @param {HTMLElement} figure */
  function addTools(figure) {
    const tools = /** @type {HTMLFormElement} */ (figure.querySelector(".graph-tools"));
    const find = /** @type {HTMLInputElement} */ (figure.querySelector(".graph-find"));
    const match = /** @type {HTMLElement} */ (figure.querySelector(".graph-match"));
    const reset = /** @type {HTMLButtonElement} */ (figure.querySelector(".graph-reset"));
    const detail = /** @type {HTMLElement} */ (figure.querySelector(".graph-detail"));
    const svg = /** @type {SVGSVGElement | null} */ (figure.querySelector(".graph-frame > svg"));
    const frames = document.getElementById("frames");
    if (!svg || !frames || typeof graphScript.search !== "function") return;
    const levels = /** @type {HTMLButtonElement} */ (figure.querySelector(".graph-levels"));
    const hint = detail.textContent;
    tools.hidden = false;
    figure.classList.add("has-tools");
    window.dispatchEvent(new Event("resize")); // the style of that class makes the graph wider

    const showSearch = () => {
      const text = document.getElementById("matched")?.textContent?.trim() ?? "";
      match.textContent = text.replace("Matched: ", "matches ");
      frames.classList.toggle("is-searched", Boolean(graphScript.searching));
    };
    /** @param {string} term */
    const search = (term) => {
      if (graphScript.searching) graphScript.search_prompt(); // resets
      find.setCustomValidity("");
      if (term === "") {
        showSearch();
        return;
      }
      try {
        graphScript.search(term);
        showSearch();
        if (!graphScript.searching) match.textContent = "no match";
      } catch (error) {
        match.textContent = "not a regular expression";
      }
    };
    const showZoom = () => {
      const unzoom = document.getElementById("unzoom");
      reset.disabled = unzoom === null || unzoom.classList.contains("hide");
    };
    const unzoom = () => {
      graphScript.unzoom();
      const params = graphScript.get_params();
      delete params.x;
      delete params.y;
      history.replaceState(null, "", graphScript.parse_params(params));
      showZoom();
    };

    find.addEventListener("input", () => search(find.value));
    tools.addEventListener("submit", (event) => event.preventDefault());
    reset.addEventListener("click", unzoom);
    // After the graph's own handlers, which are on the window.
    window.addEventListener("click", () => setTimeout(showZoom, 0));
    figure.addEventListener("mouseover", (event) => {
      const frame = graphScript.find_group(event.target);
      const title = frame ? frame.querySelector("title") : null;
      if (title) detail.textContent = title.textContent;
    });
    figure.addEventListener("mouseleave", () => {
      detail.textContent = hint;
    });
    window.addEventListener(
      "keydown",
      (event) => {
        const inField = event.target instanceof HTMLInputElement;
        const wantsFind = event.key === "F3" || ((event.ctrlKey || event.metaKey) && event.key === "f");
        if (wantsFind) {
          // The graph's script would open a prompt. A second Ctrl-F is the browser's own.
          event.stopImmediatePropagation();
          if (event.target === find) return;
          event.preventDefault();
          find.focus();
          find.select();
        } else if (event.key === "/" && !inField) {
          event.preventDefault();
          find.focus();
        } else if (event.key === "Escape") {
          if (event.target === find && find.value !== "") {
            find.value = "";
            search("");
          } else {
            unzoom();
          }
        }
      },
      true,
    );
    document.querySelectorAll("td.function a").forEach((link) => {
      link.addEventListener("click", (event) => {
        const { ctrlKey, metaKey, shiftKey } = /** @type {MouseEvent} */ (event);
        if (ctrlKey || metaKey || shiftKey) return;
        event.preventDefault();
        const url = new URL(/** @type {HTMLAnchorElement} */ (link).href);
        find.value = url.searchParams.get("s") ?? "";
        search(find.value);
        figure.scrollIntoView({ block: "start" });
      });
    });

    hideRuntimeLevels(frames, svg, levels);

    // Printed pages are narrower: scale the drawing instead of cutting it.
    window.addEventListener("beforeprint", () => {
      const { width, height } = svg.getBoundingClientRect();
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.classList.add("is-printed");
    });
    window.addEventListener("afterprint", () => {
      svg.removeAttribute("viewBox");
      svg.classList.remove("is-printed");
    });

    // The graph's script restores a search by itself, a moment after the load event.
    setTimeout(() => {
      if (asked.get("s")) {
        find.value = asked.get("s") ?? "";
        showSearch();
      }
      if (hasZoom) restoreZoom(frames);
      showZoom();
    }, 0);
  }

  /**
   * A service's stacks begin with dozens of frames of its runtime, shared by nearly everything.
   * Those above our request layer are hidden at first: the picture moves up until the layer is
   * on top, and markers beside the hidden levels move along. Other shared levels say something
   * about the program and stay.
   * @param {HTMLElement} frames
   * @param {SVGSVGElement} svg
   * @param {HTMLButtonElement} button
   */
  function hideRuntimeLevels(frames, svg, button) {
    /** @param {Element} rect @param {string} name */
    const number = (rect, name) => Number(rect.getAttribute(name));
    /** @type {Map<number, Element>} */
    const widest = new Map();
    /** @type {Element[]} */
    const markers = [];
    for (const rect of frames.querySelectorAll("rect")) {
      if (rect.closest("g.marker")) {
        markers.push(rect);
        continue;
      }
      const y = number(rect, "y");
      const other = widest.get(y);
      if (!other || number(other, "fg:w") < number(rect, "fg:w")) widest.set(y, rect);
    }
    const levels = Array.from(widest).sort(([a], [b]) => a - b);
    if (levels.length < 2) return;
    const [[first, all], [second]] = levels;
    const beside = markers.filter((rect) => number(rect, "y") === second);
    const marked = beside.reduce((sum, rect) => sum + number(rect, "fg:w"), 0);
    const shared = 0.8 * (number(all, "fg:w") - marked);
    const end = levels.findIndex(([, rect]) => number(rect, "fg:w") < shared);
    const isLayer = (/** @type {Element} */ rect) =>
      rect.closest("g")?.querySelector("title")?.textContent?.includes(REQUEST_LAYER);
    const count = levels.slice(0, Math.max(end, 0)).findLastIndex(([, rect]) => isLayer(rect));
    if (count < 1) return;
    const top = levels[count][0];

    /** @param {boolean} hidden */
    const show = (hidden) => {
      svg.style.setProperty("--hidden", hidden ? `${top - first + 3}px` : "0px");
      for (const rect of beside) {
        const group = /** @type {SVGGElement} */ (rect.closest("g"));
        group.style.transform = hidden ? `translateY(${top - second}px)` : "";
      }
      button.textContent = `${hidden ? "Show" : "Hide"} ${count} levels of the runtime`;
      button.dataset.hidden = String(hidden);
    };
    button.hidden = false;
    button.addEventListener("click", () => show(button.dataset.hidden === "false"));
    show(!hasZoom);
  }

  /** @param {HTMLElement} frames */
  function restoreZoom(frames) {
    const wanted = Array.from(frames.querySelectorAll("rect")).find(
      (rect) =>
        rect.getAttribute("fg:x") === zoomedTo.x && rect.getAttribute("y") === zoomedTo.y,
    );
    if (!wanted) return;
    graphScript.zoom(graphScript.find_group(wanted));
    const params = graphScript.get_params();
    Object.assign(params, zoomedTo);
    history.replaceState(null, "", graphScript.parse_params(params));
  }

  /** @param {HTMLTableElement} table */
  function makeSortable(table) {
    const body = table.tBodies[0];
    const headers = Array.from(table.querySelectorAll("th"));
    let column = 0;
    for (const header of headers) {
      const own = column;
      column += header.colSpan;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const wasDown = header.getAttribute("aria-sort") === "descending";
        const isNumber = header.classList.contains("number");
        const descending = isNumber ? !wasDown : header.getAttribute("aria-sort") === "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const rows = Array.from(body.rows);
        rows.sort((a, b) => {
          const [left, right] = descending ? [b.cells[own], a.cells[own]] : [a.cells[own], b.cells[own]];
          return isNumber
            ? Number(left.dataset.sort) - Number(right.dataset.sort)
            : (left.textContent ?? "").localeCompare(right.textContent ?? "");
        });
        body.append(...rows);
      });
    }
  }

  window.addEventListener("load", () => {
    // One turn after the graph's script, which starts in its own load event and then waits one.
    setTimeout(() => {
      document.querySelectorAll("figure.graph").forEach((figure) => {
        addTools(/** @type {HTMLElement} */ (figure));
      });
    }, 0);
    document.querySelectorAll("table.sortable").forEach((table) => {
      makeSortable(/** @type {HTMLTableElement} */ (table));
    });
  });
})();
