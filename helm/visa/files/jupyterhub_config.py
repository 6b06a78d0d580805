from visa.hub.chart import configure

configure(c, patience=120)  # noqa: F821
