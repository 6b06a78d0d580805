# Looks around in an image as the person who will work in it. POSIX sh, in any image; prints `fact KEY VALUE` lines.
# Before it, `files` was defined: it writes the launcher, Jupyter's configuration and probe.py to $VISA_RUN.
set -u
fact() { printf 'fact %s %s\n' "$1" "$2"; }
has() { command -v "$1" 2>/dev/null; }

fact begin 1
fact uid "$(id -u)"
fact path "$PATH"
for name in jupyter bash git tini; do fact "$name" "$(has "$name")"; done
fact xvnc "$(has Xvnc || has Xtigervnc)"
session=''
for name in xfce4-session startxfce4 mate-session lxqt-session startlxde lxsession startplasma-x11 gnome-session \
    icewm-session openbox-session fluxbox x-session-manager; do
    session=$(has "$name") && break
done
fact xsession "$session"

# Folders that cannot be entered by this account: what is in them belongs to root alone.
rest=$PATH:
while [ -n "$rest" ]; do
    folder=${rest%%:*} rest=${rest#*:} place=''
    parts=${folder#/}/
    while [ -n "$parts" ]; do
        place=$place/${parts%%/*} parts=${parts#*/}
        if [ -d "$place" ] && [ ! -x "$place" ]; then
            fact closed "$folder"
            break
        fi
    done
done

if (: >/visa-probe) 2>/dev/null || (: >/usr/visa-probe) 2>/dev/null; then fact root writable; else fact root closed; fi
for place in /data /shared /etc/visa; do
    if [ -n "$(ls -A "$place" 2>/dev/null)" ]; then fact hidden "$place"; fi
done
if [ -e /opt/visa/software.json ]; then fact software present; fi

if [ -n "$(has jupyter)" ]; then
    fact lab "$(jupyter lab --version 2>/dev/null </dev/null | tail -n 1)"
    # Jupyter's own Python is named in its first line, except where that would be too long.
    first=''
    read -r first <"$(has jupyter)" 2>/dev/null
    python=${first#\#!}
    python=${python%% *}
    case $python in */python*) ;; *) python='' ;; esac
    [ -x "$python" ] || python=$(has python3 || has python)
    fact python "$python"
    if [ -n "$python" ]; then "$python" "$VISA_RUN/probe.py" </dev/null; fi
fi
fact end 1
