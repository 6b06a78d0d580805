// Keyboard layouts by the place of keys, for computers that take their keyboard for another one.
// Each row: the keys' characters alone, with Shift, with AltGr ("\0" for none). The characters in DEAD wait for the next key.
import keysyms from "./novnc/core/input/keysymdef.js";

const ROWS = [
  "Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal",
  "KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight",
  "KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backslash",
  "IntlBackslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash",
].map((row) => row.split(" "));

const DEAD = { "\u0300": 0xfe50, "\u0301": 0xfe51, "\u0302": 0xfe52, "\u0303": 0xfe53, "\u0308": 0xfe57 };

export const LAYOUTS = {
  us: {
    title: "English (US)",
    plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", "<zxcvbnm,./"],
    shift: ["~!@#$%^&*()_+", "QWERTYUIOP{}", 'ASDFGHJKL:"|', ">ZXCVBNM<>?"],
    level3: ["", "", "", ""],
  },
  gb: {
    title: "English (UK)",
    plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'#", "\\zxcvbnm,./"],
    shift: ['¬!"£$%^&*()_+', "QWERTYUIOP{}", "ASDFGHJKL:@~", "|ZXCVBNM<>?"],
    level3: ["¦\0\0\0€", "\0\0é\0\0\0úíó", "á", ""],
  },
  de: {
    title: "German",
    plain: ["\u03021234567890ß\u0301", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
    shift: ['°!"§$%&/()=?\u0300', "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"],
    level3: ["\0\0²³\0\0\0{[]}\\", "@\0€\0\0\0\0\0\0\0\0~", "", "|\0\0\0\0\0\0µ"],
  },
  fr: {
    title: "French",
    plain: ["²&é\"'(-è_çà)=", "azertyuiop\u0302$", "qsdfghjklmù*", "<wxcvbn,;:!"],
    shift: ["\x001234567890°+", "AZERTYUIOP\u0308£", "QSDFGHJKLM%µ", ">WXCVBN?./§"],
    level3: ["\0\0~#{[|`\\^@]}", "\0\0€\0\0\0\0\0\0\0\0¤", "", ""],
  },
};

function table(rows) {
  const found = new Map();
  rows.forEach((row, index) => {
    [...row].forEach((character, place) => {
      const code = ROWS[index][place];
      if (character !== "\0" && code) found.set(code, DEAD[character] ?? keysyms.lookup(character.codePointAt(0)));
    });
  });
  return found;
}

/** `(keysym, code, down) => keysym`: as the keyboard of this layout would have it. */
export function mapper(layout) {
  const [plain, shift, level3] = [layout.plain, layout.shift, layout.level3].map(table);
  const held = new Set();
  const pressed = new Map();
  const map = (keysym, code, down) => {
    if (["ShiftLeft", "ShiftRight", "AltRight"].includes(code)) {
      if (down) held.add(code);
      else held.delete(code);
      return code === "AltRight" && level3.size ? 0xfe03 : keysym;
    }
    if (!down) {
      const same = pressed.get(code) ?? keysym;
      pressed.delete(code);
      return same;
    }
    const shifted = held.has("ShiftLeft") || held.has("ShiftRight");
    const sym = (held.has("AltRight") ? level3 : shifted ? shift : plain).get(code) ?? keysym;
    pressed.set(code, sym);
    return sym;
  };
  map.plain = plain;
  return map;
}

const SHORTCUT = ["ControlLeft", "ControlRight", "AltLeft", "MetaLeft", "MetaRight"];
// Of X's older keysyms: kana, Arabic, Cyrillic, Greek, Hebrew, Thai, Hangul.
const SCRIPTS = [0x04, 0x05, 0x06, 0x07, 0x0c, 0x0d, 0x0e];
const foreign = (character) => /\p{L}/u.test(character) && !/\p{Script=Latin}/u.test(character);
const byPlace = table(LAYOUTS.us.plain);

function isForeign(keysym) {
  return keysym > 0x1000000 ? foreign(String.fromCodePoint(keysym - 0x1000000)) : SCRIPTS.includes(keysym >> 8);
}

/**
 * `(keysym, code, down) => keysym` for what the browser or `mapper` says. With Ctrl, Alt or Super a key that writes in
 * another script than Latin stands for the Latin letter of its place, as on a desktop of one's own; all others stand for
 * what is on them, wherever they are.
 */
export function shortcuts() {
  const held = new Set();
  const pressed = new Map();
  return (keysym, code, down) => {
    if (SHORTCUT.includes(code)) held[down ? "add" : "delete"](code);
    if (!down) {
      const same = pressed.get(code) ?? keysym;
      pressed.delete(code);
      return same;
    }
    const sym = held.size && isForeign(keysym) ? (byPlace.get(code) ?? keysym) : keysym;
    pressed.set(code, sym);
    return sym;
  };
}

/** The letter that a key stands for in a shortcut; `layout`: a chosen one's `mapper`, or null. */
export function letter({ key, code }, layout = null) {
  const sym = layout?.plain.get(code) ?? (foreign(key) && key.length === 1 ? byPlace.get(code) : undefined);
  return (sym === undefined ? key : String.fromCharCode(sym)).toLowerCase();
}
