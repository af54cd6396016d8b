# kill -9 in the middle of `up --role` and of `down`: the next `down` leaves the machine as before. (tests/role.rs kills at every operation.)
before
for after in 0.05 0.15 0.25; do
  nslab up routed --role "$me" >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  expect 0 down
  as_before
done
for after in 0.03 0.08; do
  expect 0 up routed --role "$me"
  nslab down >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  expect 0 down
  as_before
done
