"""A program on the desktop: ``python program.py click|animate|scroll|noise WIDTH HEIGHT``; says when it is shown."""

from __future__ import annotations

import os
import sys
import tkinter
from collections.abc import Callable, Iterator

EVERY = 16
"""Milliseconds between pictures."""


def click(root: tkinter.Tk, width: int, height: int) -> None:
    """A patch in the middle changes its colour with each press."""
    canvas = tkinter.Canvas(root, width=width, height=height, bg="#203040", highlightthickness=0)
    canvas.pack()
    left, top = width // 2 - 100, height // 2 - 100
    patch = canvas.create_rectangle(left, top, left + 200, top + 200, fill="#c04020", width=0)
    colours = ["#20c040", "#c04020"]

    def pressed(_: object) -> None:
        colours.append(colours.pop(0))
        canvas.itemconfigure(patch, fill=colours[-1])

    canvas.bind("<ButtonPress>", pressed)


def pictures() -> Iterator[tkinter.PhotoImage]:
    """Something like a measured image: a smooth pattern with grain, 640 by 400."""
    grain = os.urandom(4096)
    for turn in range(12):
        rows = bytearray(b"P6 640 400 255 ")
        for y in range(400):
            for x in range(0, 640, 4):
                value = (x * y // 300 + 21 * turn + (grain[(x * 7 + y * 13) % 4096] & 15)) & 255
                rows += bytes([value, 255 - value, value // 2]) * 4
        yield tkinter.PhotoImage(data=bytes(rows))


def animate(root: tkinter.Tk, width: int, height: int) -> None:
    """Twelve pictures in turn."""
    canvas = tkinter.Canvas(root, width=width, height=height, bg="#203040", highlightthickness=0)
    canvas.pack()
    shown = list(pictures())
    place = canvas.create_image(width // 2, height // 2, image=shown[0])

    def step(turn: int) -> None:
        canvas.itemconfigure(place, image=shown[turn % len(shown)])
        root.after(EVERY, step, turn + 1)

    step(0)


def scroll(root: tkinter.Tk, width: int, height: int) -> None:
    """A long text in the whole window, a line at a time."""
    text = tkinter.Text(root, font=("monospace", 12), wrap="none")
    text.place(x=0, y=0, width=width, height=height)
    text.insert("end", "\n".join(f"{n:6} {'counts of a run in the beam ' * (n % 5 + 1)}" for n in range(5000)))

    def step() -> None:
        text.yview_scroll(1, "units")
        if text.yview()[1] >= 1:
            text.yview_moveto(0)
        root.after(EVERY, step)

    step()


def noise(root: tkinter.Tk, width: int, height: int) -> None:
    """What cannot be compressed and never stays."""
    picture = tkinter.PhotoImage(width=600, height=600)
    tkinter.Label(root, image=picture, bd=0).pack()

    def step() -> None:
        picture.configure(data=b"P6 600 600 255 " + os.urandom(1080000))
        root.after(EVERY, step)

    step()


KINDS: dict[str, Callable[[tkinter.Tk, int, int], None]] = {
    one.__name__: one for one in (click, animate, scroll, noise)
}


def main() -> None:
    """Until it is killed."""
    kind, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    root = tkinter.Tk()
    root.overrideredirect(True)
    root.geometry(f"{width}x{height}+0+0")
    KINDS[kind](root, width, height)
    root.update()
    print("shown", flush=True)
    root.mainloop()


if __name__ == "__main__":
    main()
