// Sends windows to addresses at which something might happen by itself.
({
    async begin({ hub, portal, id, me, apart, other }) {
        const addresses = [`${hub}/hub/logout`, `${portal}logout`, `${hub}/hub/spawn/${me}/stolen`, `${hub}/hub/spawn?opt-environment=scattering`,
            `${portal}instances/${id}/stop`, `${portal}api/v1/instances/${id}/stop`, `${portal}oauth_callback?code=x&state=x`,
            ...(apart ? [`${other}logout`, `${other}_visa/logout`] : [])];
        for (const address of addresses) {
            open(address);
            const page = `<meta http-equiv="refresh" content="0;url=${address}">`;
            open(URL.createObjectURL(new Blob([page], { type: "text/html" })));
        }
        const rules = document.createElement("script");
        rules.type = "speculationrules";
        const urls = [...addresses, `${hub}/hub/token`, portal];
        rules.textContent = JSON.stringify({ prefetch: [{ urls, eagerness: "immediate" }], prerender: [{ urls, eagerness: "immediate" }] });
        document.head.append(rules);
    },
    async look() {
        return performance.getEntries().map((entry) => entry.name);
    },
})
