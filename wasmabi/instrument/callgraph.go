package instrument

// weighs is what the stack costs a function. Depth is the measure of limits.go.
type weighs struct {
	weight  int32 // of one call
	static  int32 // the deepest that calls from here can get, itself included, where nothing is counted
	counted bool  // it counts its depth; else its callers left room for static
	room    int32 // that a function which counts leaves to those that do not
}

// maxStatic is how deep calls may get without being counted.
const maxStatic = 256

// graph finds which functions must count their depth: those from which a call
// may come back to where it was, directly or through a table, and those that
// call one of these. All others form chains of known depth.
//
// It is Tarjan's algorithm (SIAM J. Computing 1, 1972) without recursion. The
// nodes are the module's functions, and behind them its types: a call through
// a table leads to the type, and the type to the functions in tables that have it.
type graph struct {
	module  *module
	funcs   []*function
	members [][]uint32 // functions in tables, by type
	same    []uint32   // the first type equal to each
	index   []int32    // of the visit, 0 for not visited
	low     []int32
	open    []bool // on the stack of components
	stack   []int32
	count   int32
	counted []bool // for types and functions
	static  []int32
}

// weigh sets what each function weighs.
func (m *module) weigh(funcs []*function) {
	n := len(funcs) + len(m.types)
	g := &graph{
		module: m, funcs: funcs, members: make([][]uint32, len(m.types)), same: m.equalTypes(),
		index: make([]int32, n), low: make([]int32, n), open: make([]bool, n), counted: make([]bool, n), static: make([]int32, n),
	}
	inTable := make([]bool, len(funcs))
	for _, list := range m.elements {
		for _, f := range list {
			i := int(f) - len(m.imports)
			if i < 0 || i >= len(funcs) || inTable[i] {
				continue
			}
			inTable[i] = true
			t := g.same[m.funcs[i]]
			g.members[t] = append(g.members[t], uint32(i))
		}
	}
	for i := range funcs {
		if g.index[i] == 0 {
			g.visit(int32(i))
		}
	}
}

// equalTypes gives for each type the first that is equal to it.
func (m *module) equalTypes() []uint32 {
	first := make(map[string]uint32, len(m.types))
	same := make([]uint32, len(m.types))
	for i, t := range m.types {
		key := string(t.params) + "\x00" + string(t.results)
		if at, ok := first[key]; ok {
			same[i] = at
			continue
		}
		first[key], same[i] = uint32(i), uint32(i)
	}
	return same
}

// edge gives the k-th node that a node leads to, -1 for none, and whether there
// is one.
func (g *graph) edge(v int32, k int) (to int32, more bool) {
	if int(v) >= len(g.funcs) {
		members := g.members[int(v)-len(g.funcs)]
		if k >= len(members) {
			return 0, false
		}
		return int32(members[k]), true
	}
	f := g.funcs[v]
	switch {
	case k < len(f.calls):
		return int32(f.calls[k].callee) - int32(len(g.module.imports)), true
	case k < len(f.calls)+len(f.indirect):
		return int32(len(g.funcs)) + int32(g.same[f.indirect[k-len(f.calls)]]), true
	}
	return 0, false
}

type visit struct {
	v    int32
	next int // edge
}

func (g *graph) enter(v int32) {
	g.count++
	g.index[v], g.low[v] = g.count, g.count
	g.open[v] = true
	g.stack = append(g.stack, v)
}

func (g *graph) visit(root int32) {
	g.enter(root)
	path := []visit{{v: root}}
	for len(path) > 0 {
		at := &path[len(path)-1]
		to, more := g.edge(at.v, at.next)
		at.next++
		switch {
		case !more:
			v := at.v
			path = path[:len(path)-1]
			if len(path) > 0 {
				g.low[path[len(path)-1].v] = min(g.low[path[len(path)-1].v], g.low[v])
			}
			if g.low[v] == g.index[v] {
				g.close(v)
			}
		case to < 0: // a host function, which calls nothing
		case g.index[to] == 0:
			g.enter(to)
			path = append(path, visit{v: to})
		case g.open[to]:
			g.low[at.v] = min(g.low[at.v], g.index[to])
		}
	}
}

// close ends a component; those that it leads to were ended before.
func (g *graph) close(v int32) {
	from := len(g.stack) - 1
	for g.stack[from] != v {
		from--
	}
	members := g.stack[from:]
	counts := len(members) > 1
	for _, u := range members {
		counts = counts || g.leadsTo(u)
	}
	for _, u := range members {
		g.settle(u, counts)
	}
	for _, u := range members {
		g.open[u] = false
	}
	g.stack = g.stack[:from]
}

// leadsTo tells whether a node leads to itself or to one that counts.
func (g *graph) leadsTo(v int32) bool {
	for k := 0; ; k++ {
		to, more := g.edge(v, k)
		if !more {
			return false
		}
		if to == v || to >= 0 && g.counted[to] {
			return true
		}
	}
}

func (g *graph) settle(v int32, counts bool) {
	below := int32(0)
	for k := 0; ; k++ {
		to, more := g.edge(v, k)
		if !more {
			break
		}
		if to >= 0 && !g.counted[to] && !g.open[to] {
			below = max(below, g.static[to])
		}
	}
	own := int32(0)
	if int(v) < len(g.funcs) {
		own = g.funcs[v].frameWeight()
	}
	static := own + below
	g.counted[v] = counts || static > maxStatic
	g.static[v] = static
	if int(v) < len(g.funcs) {
		g.funcs[v].weighs = weighs{weight: own, static: static, counted: g.counted[v], room: min(below, maxStatic)}
	}
}
