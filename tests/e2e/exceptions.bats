#!/usr/bin/env bats
# C++ exceptions of programs whose right answer is known (tests/target/throws.cc), and the same
# programs with and without us.

load ../helper

PLUGIN=$TARGET/libthrows_plugin.so

# throws_start PROGRAM ARGS...: with the collector on
throws_start() {
	export PROFFS_ENABLE=+exceptions
	tree_start "${SETS[@]}" -- "$TARGET/$1" "${@:2}"
	wait_until 20 says ready
}

# row HOW TYPE AT: the count of that row of the text in $text
row() {
	awk -v how="$1" -v rest="$2  at  $3" '$1 == "#" && $4 == how && index($0, rest) {n += $2} END {print n + 0}' <<<"$text"
}

check_counts() {
	is "$(row throw std::logic_error thrown_early)" 3
	is "$(row throw std::runtime_error throw_runtime)" 300
	is "$(row throw shop::sold_out throw_sold_out)" 200
	is "$(row throw shop::broken throw_broken)" 100
	is "$(row throw int throw_int)" 7
	is "$(row rethrow std::runtime_error rethrow_it)" 120
	is "$(row rethrow shop::sold_out rethrow_elsewhere)" 50
	is "$(row throw std::out_of_range look_outside)" 60
	for message in 'no. 0 of many' 'sold out' pieces 'early'; do
		has "$text" "message \"$message\""
	done
}

@test "exactly so many throws and rethrows of each type, at who threw them, with what they say" {
	throws_start throws counts "$PLUGIN"
	text=$(cat "$TREE/exceptions")
	echo "$text"
	check_counts
	is "$(row throw plugin::error throw_in_plugin)" 40
	has "$text" '"first in the plugin"'
	has "$text" "# total 880"
	# The rows are those of every profile: flat, flat%, sum%, cum, cum%, function.
	is "$(grep -v '^#' <<<"$text" | awk '{s += $1} END {print s}')" 880
	is "$(awk '!/^#/ && $6 == "throw_runtime" {print $1, $4}' <<<"$text")" "300 300"
	is "$(grep -v '^#' "$TREE/exceptions?sort=cum&n=1" | awk '{print $4, $5}')" "830 94.32%" # 50 in a thread
}

@test "a libstdc++ inside the program is no hiding place" {
	throws_start throws_static counts
	text=$(cat "$TREE/exceptions")
	echo "$text"
	check_counts
	has "$text" "# total 840"
}

@test "a whole C++ runtime inside the program is one, and status says so" {
	throws_start throws_alone counts
	grep -E "^exceptions +degraded.*static-libgcc" "$TREE/status"
	has "$(cat "$TREE/exceptions")" "# total 0"
	strip -o stripped "$TARGET/throws_alone"
	"$PROFFS" run -m "$PWD/second" --set enable=exceptions -- ./stripped counts >second.out 2>"$ERR" 3>&- &
	STARTED+=("$!")
	wait_until 20 grep -q ready second.out
	wait_until 20 test -e second/status
	grep -E "^exceptions +degraded.*static-libgcc" second/status
}

slots() { awk '$1 == "patch_slots" {print $2}' "$TREE/status"; }

# host_start: a C program that opens and closes a plugin at each line into descriptor 7; $before is how
# many slots are patched without it.
host_start() {
	export PROFFS_ENABLE=+exceptions
	mkfifo lines
	exec 7<>lines
	"$PROFFS" run -m "$TREE" -- "$TARGET/throws_host" "$PLUGIN" 3 <lines >"$OUT" 2>"$ERR" 3>&- 7>&- &
	PID=$!
	STARTED+=("$PID")
	wait_until 20 tree_ready
	before=$(slots)
}

# host_opens ROUND: the plugin is open, and its throws are seen.
host_opens() {
	echo >&7
	wait_until 10 says "opened $1"
	wait_until 10 eval '[ "$(slots)" -gt "$before" ]' # nobody had to say so
	# A module may have been seen half loaded, and is looked at once more some milliseconds later.
	# Whoever switches on a collector has all modules looked at before the write returns.
	echo +mutex >"$TREE/enable"
	echo -mutex >"$TREE/enable"
}

@test "a C program's plugin throws; its runtime comes and goes" {
	host_start
	for round in 0 1 2; do
		host_opens "$round"
		echo >&7
		wait_until 10 eval '[ "$(grep -c "caught 25" "$OUT")" -gt "$round" ]'
	done
	wait_until 10 says done
	is "$(grep -c 'caught 25' "$OUT")" 3
	has "$(cat "$TREE/exceptions")" "# total 75"
	echo >&7
	exec 7>&-
	wait "$PID"
}

@test "pprof and flamegraph.pl read it; types are labels" {
	throws_start throws counts
	cp "$TREE/debug/pprof/exceptions" go.pprof
	rows=$(pprof_rows go.pprof)
	echo "$rows"
	is "$(column 1 throw_runtime <<<"$rows")" 300
	rows=$(pprof_rows "$TREE/exceptions.pprof" -tagfocus=type=shop::sold_out)
	is "$(column 1 throw_sold_out <<<"$rows")" 200
	is "$(column 1 throw_runtime <<<"$rows")" 0
	has "$(go tool pprof -tags go.pprof 2>/dev/null)" "std::out_of_range"
	cp "$TREE/debug/pprof/exceptions,debug=1" go.txt
	is "$(head -1 go.txt)" "exceptions profile: total 840"
	has "$(grep -A 1 '^7 @' go.txt)" throw_int
	has "$(go tool pprof -top go.txt 2>/dev/null)" "of 840 total"
	is "$(awk '/;throw_broken / {print $NF}' "$TREE/exceptions.folded")" 100
	cp "$TREE/pprof/exceptions.sym" .
	google-pprof --text exceptions.sym >perl 2>/dev/null
	cat perl
	is "$(grep Total: perl)" "Total: 840 samples"
	is "$(awk '$NF == "throw_runtime" {print $4}' perl)" 300
}

@test "more throws than stacks are taken of: the count is exact, each place has its share" {
	SETS=(--set exception_stacks=4000)
	throws_start throws storm 30000 10000
	text=$(cat "$TREE/exceptions")
	head -8 <<<"$text"
	has "$text" "# total 40003" # three are thrown before main
	is "$(awk '$1 == "exceptions_seen" {print $2}' "$TREE/status")" 40003
	# 4,000 stacks for as many, then 2,000 each for 4,000, 8,000 and 16,000, and 500 for the rest: a standard
	# deviation of 236 throws, 0.6 points of 75.
	between 72 78 "$(awk '/at  throw_runtime/ {print $3}' <<<"$text")"
}

@test "off leaves no patched slot of it, and what was counted; on again counts from zero" {
	tree_start -- "$TARGET/throws" counts
	wait_until 20 says ready
	has "$(cat "$TREE/exceptions")" "# off: echo +exceptions > enable"
	has "$(cat "$TREE/exceptions")" "# total 0"
	tree_stop
	throws_start throws counts
	echo -exceptions >"$TREE/enable"
	has "$(cat "$TREE/exceptions")" "# total 840"
	echo +exceptions >"$TREE/enable" # now all modules are known
	on=$(slots)
	echo -exceptions >"$TREE/enable"
	[ "$(slots)" -lt "$on" ]
	echo +exceptions >"$TREE/enable"
	is "$(slots)" "$on"
	has "$(cat "$TREE/exceptions")" "# total 0"
}

@test "the last exception stands in status while its program is ending" {
	throws_start throws waiting
	status=$(cat "$TREE/status")
	has "$status" "exception_type std::runtime_error"
	has "$status" "exception_how throw"
	has "$status" "exception_message no. 2 of many"
	has "$status" "exception_tid $PID"
	has "$status" "#0 throw_runtime"
	has "$status" "#1 waiting"
}

@test "so does an uncaught one among many of which no stack is taken" {
	SETS=(--set exception_stacks=1)
	throws_start throws waiting_late
	status=$(cat "$TREE/status")
	has "$status" "exception_message no. 2 of many"
	has "$status" "exception_state fatal"
	has "$status" "#0 throw_runtime"
	has "$status" "#1 waiting"
	hasnt "$status" "[not sampled]" # heap_lost_nested says "allocations not sampled"
}

@test "what a program aborts over is the last exception, whoever catches SIGABRT" {
	throws_start throws held
	status=$(cat "$TREE/status")
	has "$status" "exception_type shop::sold_out"
	has "$status" "exception_how throw"
	has "$status" "exception_message sold out"
	has "$status" "exception_state fatal"
	has "$(grep -A 1 exception_state <<<"$status")" "#0 throw_sold_out"
	tree_stop KILL
}

@test "a runtime inside the program is no other: uncaught or met by a noexcept, with a stack and without" {
	SETS=(--set exception_stacks=1)
	for how in held_late held held_future; do
		echo "$how"
		throws_start throws_static $how
		status=$(cat "$TREE/status")
		has "$status" "exception_state fatal"
		thrower=throw_sold_out
		[ "$how" = held_late ] && thrower=throw_runtime
		[ "$how" = held_future ] && thrower=rethrow_elsewhere
		has "$(grep -A 2 exception_state <<<"$status")" "$thrower"
		tree_stop KILL
	done
	throws_start throws_static plain_abort_held
	hasnt "$(cat "$TREE/status")" "exception_state fatal"
	tree_stop KILL
}

@test "so is one that somebody else had thrown, or nobody, and std::rethrow_exception brings" {
	for how in held_future held_made; do
		throws_start throws $how
		status=$(cat "$TREE/status")
		has "$status" "exception_type shop::sold_out"
		has "$status" "exception_how rethrow"
		has "$status" "exception_message sold out"
		has "$status" "exception_state fatal"
		has "$status" "rethrow_elsewhere"
		tree_stop KILL
	done
}

@test "whatever ends a program by an exception, it ends as without us" {
	for how in uncaught noexcept thread handler abort plain_abort nested foreign matrix; do
		echo "$how"
		plain_status=0 status=0
		"$TARGET/throws" "$how" >plain 2>plain.err || plain_status=$?
		PROFFS_ENABLE=+exceptions "$PROFFS" run -m "$TREE" -- "$TARGET/throws" "$how" \
			>watched 2>watched.err 3>&- || status=$?
		is "$status" "$plain_status"
		is "$(cat watched)" "$(cat plain)"
		is "$(grep -v '^proffs: ' watched.err)" "$(cat plain.err)"
	done
	hasnt "$(cat watched)" BAD
}

# message TYPE: what the text says that this type said
message() {
	awk -v type="  $1" 'found {print /^#     message / ? substr($0, 15) : ""; exit}
		/^#/ && substr($0, length($0) - length(type) + 1) == type {found = 1}' <<<"$text"
}

@test "what() is read where it can be, in code of any optimisation, and no code of the program runs" {
	for level in 0 2; do
		throws_start "says_O$level"
		text=$(cat "$TREE/exceptions")
		echo "$text"
		is "$(message member)" '"text of it"'
		is "$(message literal)" '"a literal"'
		is "$(message both)" '"of its base"'
		is "$(message second)" '"text of it"'
		is "$(message std::bad_alloc)" '"std::bad_alloc"'
		is "$(message counted)" ""
		is "$(message hidden)" ""
		is "$(message nowhere)" ""
		is "$(message bytes)" $'"caf\xef\xbf\xbd ?[1m"'
		has "$(cat "$TREE/status")" 'exception_message caf? ?[1m'
		has "$text" "# total 10"
		says "asked 0"
		tree_stop
	done
}

@test "exception_messages: 2 asks what cannot be read, 0 says nothing" {
	SETS=(--set exception_messages=2)
	throws_start says_O2
	text=$(cat "$TREE/exceptions")
	is "$(message counted)" '"2"'
	is "$(message member)" '"text of it"'
	says "asked 1"
	tree_stop
	SETS=(--set exception_messages=0)
	throws_start says_O2
	hasnt "$(grep -v "^# exception_stacks" "$TREE/exceptions")" message # but for the setting itself
	hasnt "$(cat "$TREE/status")" exception_message
}

@test "seconds= shows what was thrown meanwhile, at the root and under debug/pprof, in every spelling" {
	host_start
	host_opens 0
	echo >&7
	host_opens 1
	# One capture, five readers of it.
	cat "$TREE/exceptions,seconds=4" >text &
	cat "$TREE/exceptions?seconds=4" >mark &
	cat "$TREE/exceptions.pprof,seconds=4" >proto &
	cat "$TREE/debug/pprof/exceptions?seconds=4" >go &
	cat "$TREE/exceptions-4s.folded" >folded &
	readers=$(jobs -p | tail -5)
	wait_until 10 grep -q "^exceptions running .*, 5 waiting" "$TREE/status"
	echo >&7
	wait_until 10 eval '[ "$(grep -c "caught 25" "$OUT")" = 2 ]'
	grep -q "^exceptions running" "$TREE/status" # all of it was meanwhile
	wait $readers
	has "$(cat text)" "# total 25"
	has "$(cat mark)" "# total 25"
	is "$(pprof_rows proto | awk '{s += $1} END {print s}')" 25
	is "$(pprof_rows go | awk '{s += $1} END {print s}')" 25
	is "$(awk '{s += $NF} END {print s}' folded)" 25
	has "$(cat "$TREE/exceptions")" "# total 50"
	run cat "$TREE/debug/pprof/exceptions?seconds=1&debug=1"
	has "$output" "Invalid argument"
	exec 7>&-
}
