# `go tool pprof` accepts every file that the tree calls pprof, live and copied.
load ../helper

@test "every .pprof of the tree, and every profile under debug/pprof" {
	tree_start --set heap_sample_bytes=1000 -- "$TARGET/split"
	echo 1 >"$TREE/cpu/seconds"
	wait_until 10 test "$(cat "$TREE/cpu.pprof" | wc -c)" -gt 0
	count=0
	for file in "$TREE"/*.pprof "$TREE"/debug/pprof/*; do
		case $(basename "$file") in
		cmdline | symbol | index.html | wall* | trace*) continue ;;
		esac
		echo "$file"
		go tool pprof -raw "$file" >raw 2>pprof.err || {
			cat pprof.err
			return 1
		}
		grep -q '^PeriodType' raw
		grep -q '^Mappings' raw
		count=$((count + 1))
	done
	[ "$count" -ge 8 ]
}

@test "finished captures are pprof files with their real size" {
	tree_start -- "$TARGET/split"
	echo 1 >"$TREE/cpu/seconds"
	cp "$TREE/cpu.pprof" .
	capture=$(ls "$TREE"/captures/*.pprof)
	is "$(stat -c %s "$capture")" "$(wc -c <"$capture")"
	[ "$(stat -c %s "$capture")" -gt 0 ]
	rows=$(pprof_rows "$capture")
	has "$rows" seventy
}

@test "a query in the name captures as Go's URL does" {
	tree_start -- "$TARGET/split"
	rows=$(pprof_rows "$TREE/debug/pprof/profile?seconds=1")
	has "$rows" seventy
	rows=$(pprof_rows "$TREE/debug/pprof/profile,seconds=1")
	has "$rows" seventy
	has "$(head -n 1 "$TREE/debug/pprof/heap?debug=1")" "heap profile:"
	has "$(cat "$TREE/debug/pprof/goroutine?debug=2")" main
}

@test "names, mappings and build ids are in the file, so it can be read elsewhere" {
	tree_start -- "$TARGET/split"
	cp "$TREE/debug/pprof/profile?seconds=1" elsewhere.pprof
	tree_stop
	go tool pprof -raw elsewhere.pprof >raw
	id=$(readelf -n "$TARGET/split" | awk '/Build ID/ {print $3}')
	has "$(cat raw)" "$TARGET/split"
	has "$(cat raw)" "$id"
	has "$(cat raw)" seventy
}

@test "the heap profile has Go's four columns" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" 10 10
	wait_until 10 says ready
	go tool pprof -raw "$TREE/heap.pprof" >raw
	has "$(cat raw)" "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
}
