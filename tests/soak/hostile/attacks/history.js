// Reads what the browser knows of the way here.
({
    async begin() {
        const got = [document.referrer, document.cookie, document.URL, window.name, history.state, String(opener), String(parent.location)];
        got.push(performance.getEntries().map((entry) => JSON.stringify(entry)));
        got.push(navigation.entries().map((entry) => [entry.url, entry.getState()]), String(navigation.activation?.from?.url));
        got.push(Object.entries(localStorage), Object.entries(sessionStorage));
        got.push(await cookieStore.getAll());
        return got;
    },
})
