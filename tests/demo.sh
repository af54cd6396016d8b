#!/bin/sh
# make demo: one lab, from nothing to nothing, in the language of the locale; then what to type next.   demo.sh NSLAB
set -eu
nslab=$1
# What is typed outside of make, by whoever is root only within it.
sudo=
if [ "$(id -u)" != 0 ] || [ -n "${SUDO_UID:-}" ] || command -v sudo >/dev/null; then sudo='sudo '; fi
# A name of its own, so that no lab of yours is touched.
lab=demo
if "$nslab" --format json list | grep -q '"lab": "demo"'; then lab=demo-$$; fi

case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
  es|es[_.@]*) spanish=yes ;;
  *) spanish= ;;
esac
# say ENGLISH SPANISH
say() { if [ -n "$spanish" ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi; }
bold() { if [ -t 1 ]; then printf '\033[1m'; "$@"; printf '\033[0m'; else "$@"; fi; }
heading() { echo; bold say "$@"; }
typed() { printf '$ %s%s' "$sudo" "$nslab"; printf ' %s' "$@"; echo; }
run() { typed "$@"; "$nslab" "$@"; }

end() {
  code=$?
  trap '' INT TERM HUP
  trap - EXIT
  "$nslab" down "$lab" >/dev/null 2>&1 || true
  exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

heading "Two hosts with two containers each, and a wire between the hosts" \
        "Dos hosts con dos contenedores cada uno, y un cable entre los hosts"
# What it advises is for a lab that stays.
typed up bridged --name "$lab"
"$nslab" --quiet up bridged --name "$lab"
run graph "$lab"

heading "A ping across, from a container of one host to one of the other" \
     "Un ping de punta a punta, de un contenedor de un host a otro del otro"
if command -v ping >/dev/null; then run exec "$lab/a1" ping -c 1 b1; else run ping "$lab/a1" b1 -c 1; fi

heading "The way of that packet, hop by hop, as it is watched on every cable" \
     "El camino de ese paquete, salto a salto, visto en todos los cables"
run trace "$lab/a1" b1

heading "Whose MAC addresses does a switch between the hosts see?" \
     "¿Las direcciones MAC de quién ve un switch entre los hosts?"
run macs "$lab"

heading "Would the teacher give the points?" \
     "¿Daría el profesor los puntos?"
run check "$lab"

if command -v ip >/dev/null; then
  heading "Now break it, and ask where the packet dies, why, and what mends it" \
       "Ahora se rompe, y se pregunta dónde muere el paquete, por qué y qué lo arregla"
  run exec "$lab/host-b" ip link set enp0s8 nomaster
  typed trace "$lab/a1" b1
  # It ends with 1 where the packet is lost.
  "$nslab" trace "$lab/a1" b1 || [ $? = 1 ]
fi

heading "And nothing is left" "Y no queda nada"
run down "$lab"

heading "What to type next" "Qué teclear ahora"
# next COMMAND ENGLISH SPANISH
next() { printf '  %-24s' "$1"; say "$2" "$3"; }
next "${sudo}make install"         "nslab on the PATH, its manual page and completions" \
                                   "nslab en el PATH, con su manual y sus completados"
next "${sudo}nslab up bridged"     "this lab, to stay"          "este laboratorio, para quedarse"
next "${sudo}nslab shell a1"       "log in to a container"      "entrar en un contenedor"
next "${sudo}nslab down"           "take it away again"         "desmontarlo"
next "${sudo}nslab up bare"        "the exercise: the same by hand, and judged" \
                                   "el ejercicio: lo mismo a mano, y juzgado"
next "nslab"                       "what there is, and what to type then" \
                                   "lo que hay, y qué teclear entonces"
cpu=$(uname -m)
say "$nslab is one static file: copy it to any Linux machine ($cpu), and it works there." \
    "$nslab es un solo fichero estático: cópielo a cualquier máquina Linux ($cpu)."
