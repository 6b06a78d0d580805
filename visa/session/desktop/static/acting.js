// What acts on the desktop: loaded only for who may.
import * as clipboard from "./clipboard.js";
import * as files from "./files.js";
import * as keys from "./keys.js";
import * as touch from "./touch.js";

export function start(connection, now) {
  const send = keys.start(connection);
  touch.start(connection, send);
  clipboard.start(connection, now.rights);
  files.start(now.rights);
}
