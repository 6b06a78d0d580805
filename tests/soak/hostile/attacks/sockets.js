// Opens websockets and streams of hub, portal and, on hosts of their own, of another instance.
({
    async begin({ hub, portal, id, me, apart, other }) {
        const got = [];
        const addresses = [`${hub}/hub/`, `${hub}/hub/api/`, `${hub}/hub/api/users/${me}/server/progress`, `${portal}changes`, portal,
            `${portal}api/v1/instances/${id}/events`];
        if (apart) for (const path of ["api/events/subscribe", "terminals/websocket/1", "api/kernels/x/channels", "desktop/websocket", "desktop/selkies"]) addresses.push(other + path);
        const one = async (address) => {
            for (const protocols of [[], ["v1.kernel.websocket.jupyter.org"], ["binary"]]) {
                const socket = new WebSocket(address.replace("http", "ws"), protocols);
                got.push(await new Promise((done) => {
                    socket.onopen = () => done(`taken! ${address}`);
                    socket.onerror = () => done("refused");
                }));
                socket.close();
            }
            const events = new EventSource(address, { withCredentials: true });
            got.push(await new Promise((done) => { events.onopen = () => done(`taken! ${address}`); events.onerror = () => done("refused"); }));
            events.close();
        };
        await Promise.all(addresses.map(one));
        return got;
    },
})
