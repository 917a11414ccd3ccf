package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"testing"
)

var vague = regexp.MustCompile(`(^|/)(utils?|common|types|helpers?|models?|misc|shared|lib|pkg|internal)(/|$)`)

func unnamed(list []pkg) (complaints []string) {
	for _, p := range list {
		if vague.MatchString(p.folder()) {
			complaints = append(complaints, p.ImportPath+": a homeless function means a missing concept; name the concept")
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			complaints = append(complaints, p.ImportPath+" has no package comment: it is the design of the package")
		}
	}
	return complaints
}

func TestPackagesAreNamedAndDocumented(t *testing.T) {
	silent(t, unnamed(ours(t)))
	complains(t, unnamed([]pkg{
		{ImportPath: "lockstep/host/util", Doc: "Package util helps.", GoFiles: []string{"a.go"}},
		{ImportPath: "lockstep/typescript", Doc: "Package typescript is the SDK.", GoFiles: []string{"a.go"}},
		{ImportPath: "lockstep/audit", GoFiles: []string{"a.go"}},
		{ImportPath: "lockstep/tests/e2e"},
	}), "lockstep/host/util: a homeless", "lockstep/audit has no package comment")
}

// maxExported is how many names a package may export. A block of constants
// counts once, since its names are the values of one thing, and so do methods with their type.
const maxExported = 40

// wide lists packages that export more, and how many: it may only shrink.
var wide = map[string]int{
	"host": 65, // the words of the machine: inputs, receipts, control inputs, members, and the seams
}

func exported(files []*ast.File) (n int) {
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					n++
				}
			case *ast.GenDecl:
				n += exportedSpecs(d)
			}
		}
	}
	return n
}

func exportedSpecs(d *ast.GenDecl) (n int) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				n++
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() {
					n++
				}
			}
		}
	}
	if d.Tok == token.CONST {
		return min(n, 1)
	}
	return n
}

func parse(t *testing.T, names ...string) (files []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func tooWide(folder string, files []*ast.File, limit int) (complaints []string) {
	if n := exported(files); n > limit {
		complaints = append(complaints, fmt.Sprintf("%s exports %d names, at most %d: what is wide is several concepts", folder, n, limit))
	}
	return complaints
}

// unready lists functions that take a context where gas and not a context stops
// what runs.
func unready(folder string, files []*ast.File) (complaints []string) {
	for _, f := range files {
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || !d.Name.IsExported() || d.Recv != nil && !receiver(d).IsExported() {
				continue
			}
			for _, param := range d.Type.Params.List {
				if sel, ok := param.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
					complaints = append(complaints, fmt.Sprintf("%s: %s takes a context: gas stops guests, contexts stop nodes", folder, d.Name.Name))
				}
			}
		}
	}
	return complaints
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) *ast.Ident {
	for e := d.Recv.List[0].Type; ; {
		switch t := e.(type) {
		case *ast.StarExpr:
			e = t.X
		case *ast.IndexExpr: // of a generic type
			e = t.X
		case *ast.IndexListExpr:
			e = t.X
		case *ast.Ident:
			return t
		default:
			return ast.NewIdent("_")
		}
	}
}

func TestPackagesAreNarrow(t *testing.T) {
	for _, p := range ours(t) {
		var names []string
		for _, f := range p.GoFiles {
			names = append(names, filepath.Join(p.Dir, f))
		}
		files := parse(t, names...)
		silent(t, tooWide(p.folder(), files, max(maxExported, wide[p.folder()])))
		if within(p.folder(), "host/engine") {
			silent(t, unready(p.folder(), files))
		}
	}
	example := parse(t, filepath.Join("testdata", "wide.go"))
	complains(t, tooWide("wide", example, 4), "wide exports 5 names")
	complains(t, tooWide("wide", example, 5))
	complains(t, unready("wide", example), "wide: Run takes a context", "wide: Wait takes a context")
}
