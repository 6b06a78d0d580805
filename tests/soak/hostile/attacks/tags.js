// Loads answers as scripts, styles, pictures and the like, and looks at what they leave.
({
    async begin({ shown }) {
        const got = [];
        const before = new Set(Object.keys(window));
        addEventListener("error", (event) => got.push(event.message), true);
        const tags = [["script", "src"], ["link", "href", "stylesheet"], ["link", "href", "prefetch"], ["link", "href", "preload"],
            ["link", "href", "modulepreload"], ["link", "href", "manifest"], ["link", "href", "icon"], ["img", "src"], ["video", "src"], ["track", "src"]];
        for (const address of shown) {
            for (const [tag, name, rel] of tags) {
                const element = document.createElement(tag);
                if (rel) { element.rel = rel; element.as = "fetch"; element.crossOrigin = "use-credentials"; }
                element[name] = address;
                document.head.append(element);
            }
            got.push(await import(address).then(String, String));
            const events = new EventSource(address, { withCredentials: true });
            got.push(await new Promise((done) => { events.onerror = () => done("refused"); events.onmessage = events.onopen = (event) => done(["open", event.data]); }));
            events.close();
        }
        for (const sheet of document.styleSheets) {
            try { got.push([...sheet.cssRules].map((rule) => rule.cssText)); } catch (error) { got.push(String(error)); }
        }
        const left = Object.keys(window).filter((name) => !before.has(name));
        for (const address of shown) {
            const answer = await fetch(address, { cache: "only-if-cached", mode: "same-origin" }).catch(() => null);
            got.push(answer && (await answer.text()));
        }
        return [got, left, performance.getEntries().map((entry) => entry.name)];
    },
})
