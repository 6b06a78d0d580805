// Has the environment send whatever speaks for more than its own answer.
({
    async begin({ own, hub, portal, logins }) {
        const late = () => new Promise((done) => setTimeout(done, 3000)); // some never load
        const got = [];
        const sent = [
            ["Set-Cookie", "jupyterhub-session-id=stolen; Path=/"], ["Set-Cookie", "_xsrf=stolen; Path=/hub/"],
            ["Set-Cookie", "planted=1; Path=/"], ["Set-Cookie", "planted=2; Path=/hub/; Domain=localhost"], ["Set-Cookie", "=jupyterhub-hub-login=stolen"],
            ["Set-Cookie", "visa-session=stolen; Path=/user/"], ["Set-Cookie", "service-visa=stolen; Path=/services/visa/"],
            ["Clear-Site-Data", '"*"'], ["Service-Worker-Allowed", "/"], ["Refresh", `0; url=${hub}/hub/token`],
            ["Link", `<${hub}/hub/token>; rel=preload; as=fetch`], ["Link", `<${logins[0]}>; rel=prefetch`], ["Link", `<${hub}/hub/logout>; rel=prerender`],
            ["Report-To", `{"group":"all","max_age":86400,"endpoints":[{"url":"${own}lab/tree/reports"}],"include_subdomains":true}`],
            ["Reporting-Endpoints", `all="${own}lab/tree/reports"`], ["NEL", '{"report_to":"all","max_age":86400,"success_fraction":1}'],
            ["Access-Control-Allow-Origin", "*"], ["Access-Control-Allow-Credentials", "true"], ["Cross-Origin-Opener-Policy", "unsafe-none"],
            ["Strict-Transport-Security", "max-age=31536000; includeSubDomains"], ["Alt-Svc", 'h2="evil.example:443"'], ["Origin-Agent-Cluster", "?0"],
            ["Speculation-Rules", `"${own}lab/tree/rules"`], ["Sec-Session-Registration", `(ES256); path="${own}lab/tree/session"; challenge="x"`],
            ["Secure-Session-Registration", `(ES256); path="${own}lab/tree/session"; challenge="x"`], ["Set-Login", "logged-out"], ["Activate-Storage-Access", "load"],
            ["Accept-CH", "Sec-CH-UA-Model"], ["Critical-CH", "Sec-CH-UA-Model"], ["WWW-Authenticate", 'Basic realm="VISA"'], ["Use-As-Dictionary", 'match="/*"'],
        ];
        const address = `${own}lab/tree/x?headers=${encodeURIComponent(JSON.stringify(sent))}`;
        const answer = await fetch(address);
        const harmless = ["link", "refresh"]; // they speak for this answer only
        for (const [name] of sent) if (answer.headers.has(name) && !harmless.includes(name.toLowerCase())) got.push(`taken! ${name}`);
        const frame = document.createElement("iframe");
        frame.src = `${address}&body=`;
        document.body.append(frame);
        await Promise.race([new Promise((done) => { frame.onload = done; }), late()]);
        open(address);
        return got;
    },
})
