// Opens pages in windows, keeps hold of them, and reads them while and after they load.
({
    windows: [],
    got: [],
    note(one) {
        for (const read of ["location.href", "document.documentElement.outerHTML", "document.cookie", "opener", "name", "history.length"]) {
            try { this.got.push(read.split(".").reduce((value, part) => value[part], one) + ""); } catch (error) { this.got.push(String(error)); }
        }
        try { this.got.push(one.performance.getEntries().map((entry) => JSON.stringify(entry))); } catch (error) { this.got.push(String(error)); }
        try { this.got.push(one.navigation.entries().map((entry) => entry.url)); } catch (error) { this.got.push(String(error)); }
    },
    async begin({ shown, logins, own }) {
        const late = () => new Promise((done) => setTimeout(done, 3000)); // some never load
        const pages = [...shown.slice(0, 5), ...logins];
        for (const address of pages) this.windows.push(open(address));
        for (const address of pages.slice(0, 4)) {
            const blank = open("about:blank", `visa-${this.windows.length}`);
            blank.location = address;
            this.windows.push(blank);
            const mine = open(`${own}lab`);
            await Promise.race([new Promise((done) => { mine.onload = done; }), late()]);
            mine.location = address;
            this.windows.push(mine);
        }
        const link = document.createElement("a");
        Object.assign(link, { href: pages[0], target: "visa-link", rel: "opener" });
        document.body.append(link);
        link.click();
        const end = performance.now() + 300;
        while (performance.now() < end) {
            for (const one of this.windows) if (one) this.note(one);
            await new Promise((done) => setTimeout(done, 20));
        }
    },
    async look() {
        for (const one of this.windows) {
            if (!one) continue;
            this.note(one);
            try { one.postMessage({ visa: "act" }, "*"); one.document.querySelectorAll("form, button").forEach((form) => form.submit?.() ?? form.click()); } catch (error) { this.got.push(String(error)); }
        }
        return this.got;
    },
})
