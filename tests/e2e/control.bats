# Controls: what a shell sees when it writes well and when it writes badly.
load ../helper

# refuses FILE TEXT ERROR: the write fails with this error, and the file reads as before.
refuses() {
	local before after
	before=$(cat "$1")
	run bash -c 'printf "%s\n" "$2" >"$1"' sh "$1" "$2"
	[ "$status" -ne 0 ]
	has "$output" "$3"
	after=$(cat "$1")
	is "$after" "$before"
}

@test "a bad number changes nothing and says why" {
	tree_start -- sleep 100
	refuses "$TREE/cpu/seconds" abc "Invalid argument"
	refuses "$TREE/cpu/seconds" 86401 "Numerical result out of range"
	refuses "$TREE/cpu/hz" 0 "Numerical result out of range"
	refuses "$TREE/cpu/hz" 1e3 "Invalid argument"
	refuses "$TREE/config/stack_depth" 99999999999999999999 "Numerical result out of range"
	has "$(cat "$TREE/error_log")" "cpu/seconds"
	has "$(cat "$TREE/error_log")" "abc"
}

@test "0 without a capture is out of range, a second capture is busy, 0 ends one early" {
	tree_start -- "$TARGET/split"
	run bash -c "echo 0 >'$TREE/cpu/seconds'"
	[ "$status" -ne 0 ]
	has "$output" "Numerical result out of range"
	echo 600 >"$TREE/cpu/seconds"
	run bash -c "echo 5 >'$TREE/cpu/seconds'"
	[ "$status" -ne 0 ]
	has "$output" "Device or resource busy"
	wait_until 10 has_samples $(($(samples_taken) + 50)) # of the capture
	echo 0 >"$TREE/cpu/seconds"
	has "$(pprof_rows "$TREE/cpu.pprof")" seventy
}

@test "a mebibyte of digits is refused and nothing falls over" {
	tree_start -- sleep 100
	head -c 1048576 /dev/zero | tr '\0' 9 >digits
	for file in cpu/seconds cpu/hz config/heap_sample_bytes enable gc; do
		run bash -c "cat digits >'$TREE/$file'"
		[ "$status" -ne 0 ]
		run dd if=digits of="$TREE/$file" bs=1M conv=notrunc
		[ "$status" -ne 0 ]
	done
	tree_ready
	is "$(cat "$TREE/cpu/hz")" 97
}

@test "unknown names: No such file" {
	tree_start -- sleep 100
	for name in nonsense heap.png heap.pprof.gz cpu/nonsense debug/pprof/nonsense thread/x; do
		run cat "$TREE/$name"
		[ "$status" -ne 0 ]
		has "$output" "No such file or directory"
	done
}

@test "enable reads one line per collector and takes several changes, all or nothing" {
	tree_start -- sleep 100
	grep -qx 'cpu on' "$TREE/enable"
	grep -qx 'heap on' "$TREE/enable"
	echo -heap >"$TREE/enable"
	grep -qx 'heap off' "$TREE/enable"
	grep -qx 'cpu on' "$TREE/enable"
	run bash -c "echo '+heap -cpu +nonsense' >'$TREE/enable'"
	[ "$status" -ne 0 ]
	has "$output" "Invalid argument"
	grep -qx 'heap off' "$TREE/enable"
	grep -qx 'cpu on' "$TREE/enable"
	echo '+heap -cpu' >"$TREE/enable"
	grep -qx 'heap on' "$TREE/enable"
	grep -qx 'cpu off' "$TREE/enable"
	echo 0 >"$TREE/enable"
	grep -qx 'heap off' "$TREE/enable"
	is "$(cat "$TREE/cpu/enable")" 0
}

@test "gc takes 1" {
	tree_start -- sleep 100
	echo 1 >"$TREE/gc"
	run bash -c "echo x >'$TREE/gc'"
	[ "$status" -ne 0 ]
}

@test "crawlers start nothing and wait for nothing" {
	tree_start -- sleep 100
	timeout 60 grep -r nonsense-not-there "$TREE" || [ $? -eq 1 ]
	timeout 60 cp -r "$TREE" copy
	chmod -R u+w copy # its directories came as they are, not to be written to
	timeout 60 tar cf copy.tar -C "$TREE" . || [ $? -eq 1 ] # 1: a file's size changed meanwhile
	timeout 60 find "$TREE" -type f -exec wc -c {} + >/dev/null
	timeout 60 du -a "$TREE" >/dev/null
	is "$(ls "$TREE/captures")" ""
}

@test "status says what was done, what was lost, and what is not available" {
	tree_start --set heap_sample_bytes=1 --set stack_depth=2 -- bash -c 'while :; do x=$((x + 1)); done'
	cat "$TREE/cpu-1s.txt" >/dev/null
	text=$(cat "$TREE/status")
	for word in own_cpu_ms own_memory_bytes cpu_samples heap_samples stack_truncated; do
		grep -qE "^$word +[1-9]" <<<"$text" || { echo "no $word in: $text"; return 1; }
	done
	grep -qE '^tree +ok' <<<"$text"
}

@test "every file that the README names can be read" {
	tree_start --set heap_sample_bytes=1 -- bash -c 'while :; do x=$((x + 1)); done'
	echo 1 >"$TREE/cpu/seconds"
	cat "$TREE/cpu.pprof" >/dev/null
	for name in README status error_log cmdline enable heap allocs threads goroutine \
		heap.txt heap.folded allocs.txt threads.txt threads.folded cpu.txt cpu.folded \
		cpu/seconds cpu/hz cpu/enable cpu/status debug/pprof/cmdline; do
		cat "$TREE/$name" >content || return 1
		case $name in
		error_log) ;;
		*) [ -s content ] || { echo "$name is empty"; return 1; } ;;
		esac
	done
	for name in heap threads cpu status enable gc error_log cmdline; do
		has "$(cat "$TREE/README")" "$name"
	done
}
