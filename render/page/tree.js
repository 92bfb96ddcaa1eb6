'use strict';
/* The tree of frames, in typed arrays.
 *
 * Nodes are numbered parents first, in the order of the picture; 0 is "all". A node's descendants are
 * the numbers behind it up to end[node], so its children are node + 1, end[node + 1], ...
 */

function treeOf(stacks, columnCount) {
	let count = 1, deepest = 0;
	for (let i = 0; i < stacks.length; i += 2 + stacks[i + 1] + columnCount) {
		count += stacks[i + 1];
		deepest = Math.max(deepest, stacks[i] + stacks[i + 1]);
	}
	const tree = {
		count, deepest,
		frame: new Int32Array(count).fill(-1),
		parent: new Int32Array(count),
		level: new Uint16Array(count),
		end: new Int32Array(count),
		self: Array.from({length: Math.max(1, columnCount)}, () => new Float64Array(count)),
	};
	const path = new Int32Array(deepest + 1);
	let depth = 0, node = 1;
	for (let i = 0; i < stacks.length;) {
		const same = stacks[i++], more = stacks[i++];
		while (depth > same)
			tree.end[path[depth--]] = node;
		for (let k = 0; k < more; k++) {
			tree.frame[node] = stacks[i++];
			tree.parent[node] = path[depth];
			path[++depth] = node;
			tree.level[node++] = depth;
		}
		for (let c = 0; c < columnCount; c++)
			tree.self[c][path[depth]] += stacks[i++];
	}
	while (depth >= 0)
		tree.end[path[depth--]] = node;
	return tree;
}

/* Each node with everything above it. */
function totalsOf(tree, self) {
	const total = Float64Array.from(self);
	for (let node = tree.count - 1; node > 0; node--)
		total[tree.parent[node]] += total[node];
	return total;
}

/* Children of a node that have something, as they stand in the picture. */
function childrenOf(tree, total, node, bySize) {
	const children = [];
	for (let child = node + 1; child < tree.end[node]; child = tree.end[child])
		if (total[child] > 0)
			children.push(child);
	if (bySize)
		children.sort((a, b) => total[b] - total[a] || a - b);
	return children;
}

/* Where each node begins, in units of the value: its parent's own share stands left of the children. */
function placesOf(tree, self, total, bySize) {
	const left = new Float64Array(tree.count);
	if (!bySize) {
		const free = Float64Array.from(self);
		for (let node = 1; node < tree.count; node++) {
			const parent = tree.parent[node];
			left[node] = left[parent] + free[parent];
			free[parent] += total[node];
		}
		return left;
	}
	for (let node = 0; node < tree.count; node++) {
		let at = left[node] + self[node];
		for (const child of childrenOf(tree, total, node, true)) {
			left[child] = at;
			at += total[child];
		}
	}
	return left;
}

/* Each frame's own value and all under it, recursion counted once, within one node. */
function functionsOf(tree, self, total, within, frameCount) {
	const own = new Float64Array(frameCount), all = new Float64Array(frameCount);
	const open = new Int32Array(frameCount);
	const path = [];
	for (let node = within; node < tree.end[within]; node++) {
		while (path.length && tree.end[path[path.length - 1]] <= node)
			open[tree.frame[path.pop()]]--;
		const frame = tree.frame[node];
		if (frame < 0)
			continue;
		own[frame] += self[node];
		if (open[frame]++ === 0)
			all[frame] += total[node];
		path.push(node);
	}
	return {own, all};
}

/* The share of all nodes whose frame is marked: one inside another counts once. */
function sumOfMarked(tree, total, marked, within) {
	let sum = 0;
	for (let node = within; node < tree.end[within];) {
		if (node > 0 && marked[tree.frame[node]]) {
			sum += total[node];
			node = tree.end[node];
		} else {
			node++;
		}
	}
	return sum;
}
