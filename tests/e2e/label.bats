# What the program says about its threads: tests/target/labelled.c.
load ../helper

# samples FILE: one line for each sample's labels: "thread:[heir] tier:[gold] ..." and "tid:[7]" lines.
samples() {
	go tool pprof -raw "$1" 2>/dev/null | awk '/^Samples:/ {on = 1} /^Locations/ {on = 0} on'
}

tid_of() {
	grep -lx "$1" /proc/"$PID"/task/*/comm | cut -d/ -f5
}

start() {
	tree_start -- "$TARGET/labelled"
	wait_until 10 says ready
}

@test "thread/TID/labels has what the program said, one KEY=VALUE a line" {
	start
	is "$(cat "$TREE/thread/$(tid_of heir)/labels")" "request=/checkout
tier=gold"
	is "$(cat "$TREE/thread/$(tid_of other)/labels")" "request=/search ?[31m"
	is "$(cat "$TREE/thread/$(tid_of labelled)/labels")" ""
}

@test "labels are on CPU, wall and thread samples, beside thread and tid" {
	start
	heir=$(tid_of heir)
	other=$(tid_of other)
	for name in cpu-1s wall-1s threads; do
		cp "$TREE/$name.pprof" .
		said=$(samples "$name.pprof" | tr '\n' ' ')
		has "$said" "request:[/checkout] "
		has "$said" "thread:[heir] tier:[gold]"
		has "$said" "tid:[$heir]"
		[ "$name" = cpu-1s ] || has "$said" "tid:[$other]"
		[ "$name" = cpu-1s ] || has "$said" "syscall:[pause]"
		is "$(grep -o 'tier:\[' <<<"$said" | wc -l)" "$(grep -o 'thread:\[heir\]' <<<"$said" | wc -l)"
	done
}

@test "the text of a thread dump shows them, and no escape of theirs" {
	start
	text=$(cat "$TREE/threads")
	has "$(grep heir <<<"$text")" "request=/checkout  tier=gold"
	has "$(grep other <<<"$text")" "request=/search ?[31m"
	hasnt "$text" $'\x1b'
	hasnt "$(cat "$TREE/debug/pprof/goroutine?debug=2")" $'\x1b'
}

@test "threads?seconds=N is what came and what went meanwhile" {
	start
	cp "$TREE/debug/pprof/goroutine?seconds=1" threads.pprof
	raw=$(go tool pprof -raw threads.pprof 2>/dev/null)
	# Sleepers are where they were; who spins may be at another instruction.
	hasnt "$raw" "thread:[other]"
	hasnt "$raw" "thread:[labelled]"
	grep -qE '^Duration: [1-9]' <<<"$raw"
	text=$(cat "$TREE/threads,seconds=1")
	has "$text" "# threads"
	hasnt "$text" other_sleep
}
