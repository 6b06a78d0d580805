from visa.hub.chart import configure

configure(c)  # noqa: F821
