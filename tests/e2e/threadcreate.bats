#!/usr/bin/env bats
# Who created which threads, of a program whose right answer is known (tests/target/births.c).

load ../helper

births_start() {
	tree_start "$@" -- "$TARGET/births"
	wait_until 10 says ready
}

# text_row TEXT NAME: "count living" of that creator
text_row() {
	awk -v name="$2" '$1 == "#" && $2 $3 ~ /^[0-9-]+$/ && index($0, name) {print $2, $3}' <<<"$1"
}

@test "every thread ever created stands at its creator, and the living are marked" {
	births_start
	local text=$(cat "$TREE/threadcreate")
	echo "$text"
	is "$(text_row "$text" few_at_once)" "3 3"
	is "$(text_row "$text" many_in_turn)" "40 0"
	is "$(text_row "$text" by_standard)" "2 1"
	is "$(text_row "$text" "[unknown creator]")" "1 1"
	has "$text" "# total 46"
	has "$text" "# living 5"
	is "$(awk '{s += $1} END {print s}' <<<"$(grep -v '^#' <<<"$text")")" 46
	is "$(grep -o '"few"' <<<"$text" | wc -l)" 3
	# The rows are those of every profile: flat, flat%, sum%, cum, cum%, function.
	is "$(awk '!/^#/ && $6 == "many_in_turn" {print $1, $4}' <<<"$text")" "40 40"
	is "$(awk '!/^#/ && $6 == "main" {print $1, $4}' <<<"$text")" "0 45"
}

@test "go tool pprof reads it in both forms, flamegraph.pl folded" {
	births_start
	cp "$TREE/debug/pprof/threadcreate" go.pprof
	rows=$(pprof_rows go.pprof)
	echo "$rows"
	is "$(column 1 few_at_once <<<"$rows")" 3
	is "$(column 1 many_in_turn <<<"$rows")" 40
	is "$(column 4 main <<<"$rows")" 45
	rows=$(pprof_rows "$TREE/threadcreate.pprof" -tagfocus=state=living)
	is "$(column 1 few_at_once <<<"$rows")" 3
	is "$(column 1 many_in_turn <<<"$rows")" 0
	is "$(column 1 by_standard <<<"$rows")" 1
	cp "$TREE/debug/pprof/threadcreate,debug=1" go.txt
	is "$(head -1 go.txt)" "threadcreate profile: total 46"
	rows=$(pprof_rows go.txt)
	is "$(column 1 many_in_turn <<<"$rows")" 40
	is "$(awk '/;many_in_turn / {print $NF}' "$TREE/threadcreate.folded")" 40
	cp "$TREE/pprof/threadcreate" "$TREE/pprof/threadcreate.sym" .
	for file in "$TARGET/births threadcreate" threadcreate.sym; do
		google-pprof --text $file >perl 2>/dev/null
		cat perl
		is "$(grep Total: perl)" "Total: 46 samples"
		is "$(awk '$NF ~ /^many_in_turn/ {print $1}' perl)" 40
	done
}

@test "each thread's directory says who created it" {
	births_start
	local tid said
	for tid in $(ls "$TREE/thread"); do
		said=$(cat "$TREE/thread/$tid/created_by")
		case $(cat "$TREE/thread/$tid/name") in
		few)
			has "$said" "thread $PID"
			has "$said" "#0 few_at_once"
			has "$said" "#1 main"
			;;
		*)
			[ "$tid" -ne "$PID" ] || is "$said" "nobody: the main thread"
			;;
		esac
	done
	is "$(cat "$TREE/thread/"*/created_by | grep -c few_at_once)" 3
	is "$(cat "$TREE/thread/"*/created_by | grep -c unknown)" 1
}

@test "who makes a thread through the C++ library is named, not the library" {
	tree_start -- "$TARGET/spawned"
	wait_until 10 says ready
	local text=$(cat "$TREE/threads")
	echo "$text"
	is "$(grep -c "created by by_thread" <<<"$text")" 1
	is "$(grep -c "created by by_vector" <<<"$text")" 2
	is "$(grep -c "created by by_async" <<<"$text")" 1
	has "$(cat "$TREE/threads?debug=2")" "created by by_async"
	is "$(pprof_rows "$TREE/threads.pprof" -tagfocus=created_by=by_vector | column 4 stay)" 2
	text=$(cat "$TREE/threadcreate")
	echo "$text"
	is "$(awk '!/^#/ && $6 == "by_thread" {print $1, $4}' <<<"$text")" "1 1"
	hasnt "$text" _M_start_thread
	has "$(cat "$TREE/threadcreate?frames=all")" _M_start_thread
	is "$(pprof_rows "$TREE/threadcreate.pprof" | column 1 by_thread)" 1
}

@test "seconds= shows who was created, and who ended, meanwhile" {
	births_start
	cat "$TREE/threadcreate,seconds=4" >delta &
	reader=$!
	cat "$TREE/threads,seconds=4" >threads &
	cat "$TREE/debug/pprof/goroutine?seconds=4" >go.pprof &
	wait_until 10 grep -q "^threadcreate running" "$TREE/status"
	wait_until 10 grep -q "^threads running .*, 2 waiting" "$TREE/status"
	kill -USR1 "$PID"
	wait_until 10 says again
	is "$(grep -cE '^(threadcreate|threads) running' "$TREE/status")" 2 # all of it was meanwhile
	wait $reader $(jobs -p | tail -2)
	cat delta threads
	is "$(text_row "$(cat delta)" many_in_turn)" "10 0"
	is "$(text_row "$(cat delta)" few_at_once)" "0 -1"
	is "$(text_row "$(cat delta)" by_standard)" ""
	has "$(cat delta)" "# total 10"
	# The threads that stayed where they are have no row; the one that ended is one fewer.
	has "$(cat threads)" "# total -1"
	has "$(cat threads)" wait_for_end
	hasnt "$(cat threads)" return_when
	is "$(pprof_rows go.pprof -cum | column 4 wait_for_end)" -1
}
