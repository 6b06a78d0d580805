// Does what the person may do, by the API of hub and portal, in every way in which a script can ask.
({
    async begin({ acts, hub, me }) {
        const json = { "Content-Type": "application/json" };
        const ways = [
            {},
            { headers: json },
            { headers: { ...json, "X-Visa-Request": "1" } },
            { headers: { ...json, "X-Visa-Request": "1", "X-Visa-Page": "" } },
            { headers: { ...json, "X-Visa-Request": "1", Authorization: "token x" } },
            { headers: { "Content-Type": "text/plain" }, mode: "no-cors" },
            { headers: { ...json, "X-XSRFToken": "", "X-HTTP-Method-Override": "DELETE" } },
        ];
        const got = [];
        const one = async ([method, address, body], way) => {
            if (way.mode === "no-cors" && method !== "POST") return;
            const answer = await fetch(address, { method, body, ...way }).catch(() => null);
            if (answer) got.push([method, answer.url, answer.status, await answer.text()]);
        };
        const api = `${hub}/hub/api/`;
        const own = [
            ["POST", `${api}users/${me}/tokens`, "{}"],
            ["POST", `${api}users/${me}/tokens?_xsrf=`, "{}"],
            ["POST", `${api}users/${me}/servers/stolen`, "{}"],
            ["DELETE", `${api}users/${me}`, null],
            ["POST", `${api}shutdown`, "{}"],
            ["POST", `${hub}/hub/login`, `username=${me}&password=visa`],
            ["POST", `${hub}/hub/token`, "{}"],
            ["GET", `${hub}/hub/logout`, null],
            ["POST", `${hub}/hub/logout`, "{}"],
        ];
        for (const act of [...acts, ...own]) await Promise.all(ways.map((way) => one(act, way)));
        for (const [, address, body] of acts) navigator.sendBeacon(address, body ?? "{}");
        return got;
    },
})
