// Fetches every page and every answer of the hub's, the portal's and, on hosts of their own, of another instance.
({
    async begin({ readable }) {
        const got = [];
        const ways = [
            { mode: "cors", credentials: "include" },
            { mode: "no-cors", credentials: "include" },
            { mode: "cors", credentials: "omit" },
            { mode: "cors", credentials: "include", redirect: "manual" },
            { mode: "same-origin", credentials: "include", headers: { Accept: "text/html", "X-Visa-Request": "1" } },
            { mode: "cors", method: "OPTIONS" },
            { mode: "cors", method: "POST", body: "{}" },
        ];
        const one = async (address, way) => {
            const answer = await fetch(address, { referrerPolicy: "unsafe-url", ...way }).catch(() => null);
            if (answer) got.push([answer.url, answer.status, [...answer.headers], await answer.text().catch(() => "")]);
        };
        for (const address of readable) await Promise.all(ways.map((way) => one(address, way)));
        return [got, performance.getEntries().map((entry) => entry.name)];
    },
})
