# Looks around in an image as the person who will work in it. POSIX sh, in any image; prints `fact KEY VALUE` lines.
# Before it, `files` was defined: it writes the launcher, Jupyter's configuration and probe.py to $VISA_RUN.
set -u
fact() { printf 'fact %s %s\n' "$1" "$2"; }
has() { command -v "$1" 2>/dev/null; }

fact begin 1
fact uid "$(id -u)"
fact path "$PATH"
for name in jupyter bash git tini; do fact "$name" "$(has "$name")"; done
fact xvnc "$(has Xvnc)"
# Another Xvnc than TigerVNC's cannot listen on a unix socket.
case "$(Xvnc -help 2>&1 </dev/null)" in *[Rr][Ff][Bb][Uu]nix[Pp]ath*) fact xvnc-kind tigervnc ;; esac
session=$(sh "$VISA_RUN/desktop" session)
fact xsession "$session"
fact selkies "$(has selkies)"
fact bus "$(has dbus-run-session)"
fact python3 "$(has python3)"

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

# The desktop, as the launcher starts it: it has to be there after three seconds.
if [ -n "$(has Xvnc)" ] && [ -n "$session" ]; then
    server=tigervnc
    if [ -n "$(has selkies)" ]; then server=selkies; fi
    VISA_DATA=/data VISA_DESKTOP_SERVER=$server setsid sh "$VISA_RUN/desktop" >"$VISA_RUN/desktop.log" 2>&1 </dev/null &
    desktop=$! seconds=0
    while [ "$seconds" -lt 20 ] && [ ! -e "$VISA_RUN/desktop-ended" ]; do
        sleep 1
        seconds=$((seconds + 1))
        if [ "$seconds" -ge 3 ] && [ -S "$VISA_RUN/desktop.sock" ]; then break; fi
    done
    if [ -e "$VISA_RUN/desktop-ended" ]; then
        fact desktop "$(cat "$VISA_RUN/desktop-ended")"
        fact desktop-said "$(tail -n 1 "$VISA_RUN/desktop.log")"
    elif [ -S "$VISA_RUN/desktop.sock" ]; then
        fact desktop there
        while [ "$server" = selkies ] && [ "$seconds" -lt 40 ] && [ ! -e "$VISA_RUN/selkies-ended" ]; do
            if [ -S "$VISA_RUN/selkies.sock" ]; then fact video there && break; fi
            sleep 1
            seconds=$((seconds + 1))
        done
    fi
    kill -TERM -"$desktop" 2>/dev/null
    wait "$desktop" 2>/dev/null
fi
fact end 1
