# The landing page and the charts, opened from file:// on a live tree and as copies.
load ../helper

pages() {
	python3 "$BATS_TEST_DIRNAME/pages.py" "$@"
}

start_split() {
	tree_start -- "$TARGET/split"
}

@test "the landing page has charts, and links to everything that is there" {
	start_split
	# Two rows of history make a rate.
	wait_until 20 sh -c "[ \$(grep -vc '^#' '$TREE/history') -ge 3 ]"
	capture_ms 200
	echo before >"$TREE/snapshot"
	pages landing "$TREE/index.html" picture.png >links
	# Each link leads to something: none of them is opened, some of them would wait.
	while read -r link; do
		[ -e "$TREE/$link" ] || [ -L "$TREE/$link" ] || {
			echo "no $link"
			false
		}
	done <links
	# And everything is linked: what README lists by name.
	for name in status stats README cpu/seconds config/stack_depth debug/charts.html heap.html heap.svg \
		heap.pprof threads.txt captures/before/ "captures/$(ls "$TREE/captures" | grep '^cpu-')" \
		"thread/$PID/"; do
		grep -qxF "$name" links || {
			echo "no link to $name"
			false
		}
	done
	# What is off or was lost is said, as status says it.
	page=$(cat "$TREE/index.html")
	has "$page" '<span class="badge off">off</span>'
	has "$page" "<h2 id=\"lost\">"
}

@test "texts of a live tree are there in a browser, by the landing page's links" {
	start_split
	pages texts "$TREE/index.html"
}

@test "one clicks from the landing page to a flame graph and to the charts" {
	start_split
	capture_ms 200
	pages follow "$TREE/index.html"
}

@test "the charts of a live process go on by themselves, and outlive it; those of a copy say so" {
	start_split
	is "$(head -n 1 "$TREE/debug/charts")" "<!DOCTYPE html>"
	cp "$TREE/debug/charts.html" copy.html
	pages live_then_not "$TREE/debug/charts.html" "$PID"
	pages copy copy.html
}

@test "Go's index counts records" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/parked"
	wait_until 20 says ready
	pages go_index "$TREE/debug/pprof/index.html" >rows
	grep -qx '21 goroutine' rows
	for name in profile wall cmdline symbol; do
		grep -qx "0 $name" rows
	done
	is "$(grep -v '^Count' rows)" "$(grep -v '^Count' rows | sort -k 2)"
	grep -qE '^[1-9][0-9]* heap$' rows
}
