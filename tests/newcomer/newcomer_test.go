package newcomer

import (
	"os"
	"testing"

	"lockstep/tests/pages"
)

const root = "../.."

func TestMain(m *testing.M) { os.Exit(pages.Main(m)) }

func page(t *testing.T, path string) pages.Page {
	t.Helper()
	p, err := pages.Read(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestQuickstart(t *testing.T) {
	pages.NewReader(t, pages.Options{Root: root, Alone: true}).Follow(t, page(t, "docs/quickstart.md"))
}

func TestTutorialGo(t *testing.T) { tutorial(t, "go") }

// tutorial follows a language's tutorial, and looks at where that ends.
func tutorial(t *testing.T, language string, env ...string) {
	t.Helper()
	r := pages.NewReader(t, pages.Options{Root: root, Env: env})
	r.Follow(t, page(t, "docs/tutorials/"+language+".md"))
	audited(t, r, "shop", "shop/guest.wasm")
}
