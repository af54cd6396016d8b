# kill -9 at every operation of `up --role` and of `down`, half of them on this kernel and half on the other: `down` leaves the machine as before.
before
faulty() { nslab-fault "$@" >/tmp/ran 2>&1; }
points() { # points WORDS...: how many operations it has
  NSLAB_FAULT=count faulty "$@" || { cat /tmp/ran; fail "nslab $*"; }
  sed -n 's/^fault points: //p' /tmp/ran
}
killed() { # killed AT WORDS...
  local at=$1 code=0; shift
  { NSLAB_FAULT=kill@$at faulty "$@" || code=$?; } 2>/dev/null
  [ $code = 137 ] || { cat /tmp/ran; fail "nslab $* was not killed at operation $at: $code"; }
}
# One machine takes the one lab, the other the other.
if [ "$me" = host-a ]; then lab=bridged; else lab=routed; fi
up="up $lab --role $me" ups=$(points up "$lab" --role "$me") downs=$(points down)
for at in $(seq $((1 + VM_PART)) 2 "$ups"); do
  killed "$at" $up
  gone
  # What one leaves behind is there after the next ones, too; to look takes longest.
  [ $((at % 10)) -gt 1 ] || as_before
done
as_before
for at in $(seq $((1 + VM_PART)) 2 "$downs"); do
  expect 0 $up
  killed "$at" down
  gone
  [ $((at % 10)) -gt 1 ] || as_before
done
as_before
echo "measured $lab: $ups operations of up, $downs of down"
