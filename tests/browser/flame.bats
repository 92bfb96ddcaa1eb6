# Flame graphs in a real browser, headless Chromium, opened from file:// as a person would.
# The profiles' answers are in tests/unit/render/profiles.h.
load ../helper

flame() {
	python3 "$BATS_TEST_DIRNAME/flame.py" "$@"
}

# draw PROFILE VIEW: a known profile, as PROFILE.VIEW
draw() {
	"$BUILD/tests/unit/render/draw" "$1" "$2" >"$1.$2"
}

@test "the widest frame is found by its text, clicked, searched for, and its share is told" {
	draw cpu html
	flame click cpu.html -- search cpu.html
}

@test "another column is another picture; a graph can stand on its feet, and be sorted by size" {
	draw heap html
	flame column heap.html -- turned heap.html
}

@test "arrows, Enter, Escape and slash do without a mouse, and dark mode has a button" {
	draw heap html
	flame keyboard heap.html -- dark heap.html
}

@test "dark mode is the system's to begin with" {
	draw heap html
	draw cpu svg
	flame follows_the_system heap.html -- dark_picture cpu.svg
}

@test "names that are HTML, scripts or no text are shown as text" {
	draw markup html
	flame markup markup.html
}

@test "fifty thousand different stacks are zoomed and searched" {
	draw wide html
	flame large wide.html >said
	cat said >&3
}

@test "a picture opens as XML, with names from anywhere" {
	for profile in cpu markup; do
		draw "$profile" svg
		python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$profile.svg"
	done
	flame picture cpu.svg main 0.9 -- picture markup.svg main 0.9
}

@test "a live program's page, on the mount and as a copy" {
	tree_start -- "$TARGET/split"
	capture_ms 1000
	cp "$TREE/cpu.html" copy.html
	cp "$TREE/cpu.svg" copy.svg
	flame found copy.html seventy 0.4 -- found "$TREE/cpu.html" seventy 0.4 -- picture copy.svg seventy 0.4
}
