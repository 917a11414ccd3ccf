package tidy

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// anyOrder lists the functions of pure packages that range over a map, by
// file and name, and why its order does not reach their results.
var anyOrder = map[string]string{
	"audit/evidence.go Refutation": "sorted before it is put together",
	"audit/ledger.go Divergences":  "sorted before it is returned",
	"audit/tally.go Decided":       "at most one statement has a majority",
	"audit/tally.go Possible":      "asks whether there is one",
	"audit/tally.go Supporters":    "sorted before it is returned",
	"host/session.go clients":      "sorted before it is returned, by an order without ties",
	"host/timer.go records":        "sorted before it is returned",
}

// source is one parsed package with its types.
type source struct {
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
	scope *types.Scope // of the package: its globals
	dir   string       // file names are told relative to it
}

// impure looks for what makes two replicas differ although they were told the
// same: goroutines and channels, floating point, the order of a map, and state
// that outlives a value.
func impure(s source, excused map[string]string) (complaints []string) {
	used := make(map[string]bool)
	for _, f := range s.files {
		name := s.fset.Position(f.Pos()).Filename
		if rel, err := filepath.Rel(s.dir, name); err == nil {
			name = filepath.ToSlash(rel)
		}
		for _, decl := range f.Decls {
			v := visitor{source: s, line: -1}
			if fn, ok := decl.(*ast.FuncDecl); ok {
				v.function = name + " " + fn.Name.Name
			}
			v.excused = excused[v.function] != ""
			ast.Inspect(decl, v.visit)
			if v.ranged {
				used[v.function] = true
			}
			for _, c := range v.complaints {
				complaints = append(complaints, name+":"+c)
			}
		}
	}
	for function := range excused {
		if file, _, _ := strings.Cut(function, " "); s.has(file) && !used[function] {
			complaints = append(complaints, function+" is excused from ranging over a map, and does not")
		}
	}
	return complaints
}

func (s source) has(file string) bool {
	for _, f := range s.files {
		if rel, err := filepath.Rel(s.dir, s.fset.Position(f.Pos()).Filename); err == nil && filepath.ToSlash(rel) == file {
			return true
		}
	}
	return false
}

type visitor struct {
	source
	function   string
	excused    bool // from ranging over maps
	ranged     bool
	sorted     ast.Node // an iterator over a map that is sorted at once
	line       int      // of the last complaint: one a line is enough
	complaints []string
}

func (v *visitor) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
		v.complain(n, "goroutines and channels are for packages that touch the world")
	case *ast.RangeStmt:
		if _, ok := v.info.TypeOf(n.X).Underlying().(*types.Map); ok {
			v.ranged = true
			if !v.excused {
				v.complain(n, "the order of a map differs from run to run: range over sorted keys, or say in the table why it does not matter")
			}
		}
	case *ast.CallExpr:
		if fn := v.called(n); (fn == "slices.Sorted" || fn == "slices.SortedFunc") && len(n.Args) > 0 {
			v.sorted = n.Args[0]
		} else if n != v.sorted && (fn == "maps.Keys" || fn == "maps.Values" || fn == "maps.All") {
			v.complain(n, "the order of a map differs from run to run: pass it to slices.Sorted at once")
		}
	case *ast.AssignStmt:
		for _, to := range n.Lhs {
			v.assigned(to)
		}
	case *ast.IncDecStmt:
		v.assigned(n.X)
	}
	if e, ok := n.(ast.Expr); ok {
		v.number(e)
	}
	return true
}

// called names a function of another package, as in slices.Sorted.
func (v *visitor) called(c *ast.CallExpr) string {
	if sel, ok := c.Fun.(*ast.SelectorExpr); ok {
		if fn, ok := v.info.Uses[sel.Sel].(*types.Func); ok && fn.Pkg() != nil {
			return fn.Pkg().Path() + "." + fn.Name()
		}
	}
	return ""
}

func (v *visitor) number(e ast.Expr) {
	if t := v.info.TypeOf(e); t != nil {
		if b, ok := t.Underlying().(*types.Basic); ok && b.Info()&(types.IsFloat|types.IsComplex) != 0 && b.Info()&types.IsUntyped == 0 {
			v.complain(e, "floating point may differ between CPUs and compilers: count in integers")
		}
	}
}

// assigned looks for a package's variable under what is assigned to.
func (v *visitor) assigned(to ast.Expr) {
	for {
		switch e := to.(type) {
		case *ast.IndexExpr:
			to = e.X
		case *ast.SelectorExpr:
			to = e.X
		case *ast.StarExpr:
			to = e.X
		case *ast.ParenExpr:
			to = e.X
		case *ast.Ident:
			if global, ok := v.info.Uses[e].(*types.Var); ok && global.Parent() == v.scope {
				v.complain(to, "a result that depends on a package's variable depends on what ran before")
			}
			return
		default:
			return
		}
	}
}

func (v *visitor) complain(n ast.Node, why string) {
	if line := v.fset.Position(n.Pos()).Line; line != v.line {
		v.line = line
		v.complaints = append(v.complaints, fmt.Sprintf("%d: %s", line, why))
	}
}

// check parses and types files; imports are resolved by what the compiler exported.
func check(dir string, names []string, exports map[string]string) (source, error) {
	s := source{fset: token.NewFileSet(), dir: dir}
	for _, name := range names {
		f, err := parser.ParseFile(s.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return s, err
		}
		s.files = append(s.files, f)
	}
	s.info = &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue),
		Defs:  make(map[*ast.Ident]types.Object),
		Uses:  make(map[*ast.Ident]types.Object),
	}
	conf := types.Config{Importer: importer.ForCompiler(s.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	p, err := conf.Check(names[0], s.fset, s.files, s.info)
	if err != nil {
		return s, err
	}
	s.scope = p.Scope()
	return s, nil
}

func TestPurePackagesCannotDiffer(t *testing.T) {
	args := []string{"-e", "-deps", "-export", "-json=ImportPath,Dir,GoFiles,Export"}
	for _, p := range ours(t) {
		if _, is := pure[p.folder()]; is {
			args = append(args, p.ImportPath)
		}
	}
	exports := make(map[string]string)
	var sources []pkg
	for _, p := range list(t, args...) {
		exports[p.ImportPath] = p.Export
		if _, is := pure[p.folder()]; is {
			sources = append(sources, p)
		}
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sources {
		var names []string
		for _, f := range p.GoFiles {
			names = append(names, filepath.Join(p.Dir, f))
		}
		s, err := check(top, names, exports)
		if err != nil {
			t.Errorf("%s does not compile: %v", p.ImportPath, err)
			continue
		}
		silent(t, impure(s, anyOrder))
	}
}

func TestImpureSourceIsNoticed(t *testing.T) {
	exports := make(map[string]string)
	for _, p := range list(t, "-deps", "-export", "-json=ImportPath,Export", "slices", "maps") {
		exports[p.ImportPath] = p.Export
	}

	example := filepath.Join("testdata", "impure.go")
	s, err := check("testdata", []string{example}, exports)
	if err != nil {
		t.Fatal(err)
	}
	complains(t, impure(s, map[string]string{
		"impure.go excused": "for the example",
		"impure.go stale":   "for the example",
	}),
		"impure.go:13: goroutines", "impure.go:14: goroutines", "impure.go:15: goroutines",
		"impure.go:20: the order of a map", "impure.go:27: the order of a map",
		"impure.go:31: floating point", "impure.go:33: floating point",
		"impure.go:38: a result that depends", "impure.go:39: a result that depends", "impure.go:40: a result that depends",
		"impure.go stale is excused",
	)
}
