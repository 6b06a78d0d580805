// Shows pages in frames of its own, and reaches into them.
({
    async begin({ shown, logins }) {
        const late = () => new Promise((done) => setTimeout(done, 3000)); // some never load
        const got = [];
        addEventListener("message", (event) => got.push(event.data));
        const attributes = [{}, { sandbox: "allow-same-origin allow-scripts" }, { credentialless: "" }, { name: "visa" }];
        for (const address of [...shown, ...logins]) {
            for (const tag of ["iframe", "object", "embed"]) {
                for (const given of tag === "iframe" ? attributes : [{}]) {
                    const frame = document.createElement(tag);
                    for (const [name, value] of Object.entries(given)) frame.setAttribute(name, value);
                    frame[tag === "object" ? "data" : "src"] = address;
                    const over = new Promise((done) => { frame.onload = frame.onerror = done; });
                    document.body.append(frame);
                    await Promise.race([over, late()]);
                    try {
                        const page = frame.contentDocument ?? frame.getSVGDocument?.();
                        got.push(page?.documentElement.outerHTML, frame.contentWindow?.location.href, page?.cookie);
                        got.push(frame.contentWindow?.performance.getEntries().map((entry) => entry.name));
                        page?.querySelectorAll("form").forEach((form) => form.submit());
                    } catch (error) { got.push(String(error)); }
                    frame.contentWindow?.postMessage({ visa: "act" }, "*");
                    frame.remove();
                }
            }
        }
        // A frame of one's own that goes there, and tells by its policy's reports where it was led.
        const inner = document.createElement("iframe");
        document.body.append(inner);
        inner.contentDocument.write(`<meta http-equiv="Content-Security-Policy" content="connect-src 'none'; img-src 'none'; frame-src 'none'">`);
        inner.contentDocument.addEventListener("securitypolicyviolation", (event) => got.push(event.blockedURI, event.documentURI, event.referrer));
        for (const address of logins) {
            await inner.contentWindow.fetch(address).catch(() => null);
            const deeper = inner.contentDocument.createElement("iframe");
            deeper.src = address;
            (inner.contentDocument.body ?? inner.contentDocument.documentElement).append(deeper);
        }
        return got;
    },
})
