package project

import (
	"fmt"
	"slices"
	"strings"
)

// language is what a new project of a language begins with: the counter of
// guests/examples, the language's SDK, and the line that builds them.
type language struct {
	name   string
	source string            // below guests/examples/counter
	main   string            // what it is called in the project
	sdk    map[string]string // folders below guests/sdk, and where they go in the project
	rename []string          // pairs for strings.NewReplacer over the sources
	files  map[string]string // others
	build  string
	needs  string // what to install
}

const clang = "--target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -Os -fvisibility=hidden -Isdk -Wl,--strip-all -Wl,-z,stack-size=65536 -Wl,--stack-first -o guest.wasm"

const cargo = `[package]
name = "guest"
version = "0.1.0"
edition = "2021"

[lib]
path = "guest.rs"
crate-type = ["cdylib"]

[dependencies]
lockstep = { path = "sdk" }

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = true
`

var languages = []language{
	{
		name: "assemblyscript", source: "assemblyscript/counter.ts", main: "guest.ts",
		sdk: map[string]string{"assemblyscript": "sdk"}, rename: []string{"../../../sdk/assemblyscript/", "./sdk/"},
		files: map[string]string{"package.json": "{\n  \"private\": true,\n  \"devDependencies\": { \"assemblyscript\": \"0.28.20\" }\n}\n"},
		build: "node ${LOCKSTEP_NPM:-.}/node_modules/assemblyscript/bin/asc.js guest.ts -o guest.wasm --optimize --runtime incremental --exportStart _initialize --use abort=sdk/abort/abort",
		needs: "Node.js, and npm install in the project",
	},
	{
		name: "c", source: "c/counter.c", main: "guest.c", sdk: map[string]string{"c": "sdk"},
		build: "${CC_WASM:-clang-14} -std=c11 " + clang + " guest.c",
		needs: "clang 14 or later with wasi-libc; on Debian: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32",
	},
	{
		name: "cpp", source: "cpp/counter.cpp", main: "guest.cpp", sdk: map[string]string{"c": "sdk", "cpp": "sdk"},
		build: "${CXX_WASM:-clang++-14} -std=c++17 -fno-exceptions -fno-rtti " + clang + " guest.cpp",
		needs: "clang++ 14 or later with libc++ for wasm; on Debian: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 libc++-14-dev-wasm32",
	},
	{
		name: "go", source: "go/main.go", main: "main.go", sdk: map[string]string{"go/lockstep": "lockstep", "go/cbor": "cbor"},
		rename: []string{"lockstep/guests/sdk/go/", "guest/"},
		files:  map[string]string{"go.mod": "module guest\n\ngo 1.26\n"},
		build:  "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o guest.wasm .",
		needs:  "Go 1.26 or later",
	},
	{
		name: "javascript", source: "javascript/counter.js", main: "guest.js", sdk: map[string]string{"javascript": "sdk/javascript", "c": "sdk/c"},
		files: map[string]string{"package.json": "{\n  \"private\": true,\n  \"devDependencies\": { \"qjsc\": \"0.3.0\" }\n}\n"},
		build: "{ [ -f engine.wasm ] || LOCKSTEP_NPM=${LOCKSTEP_NPM:-.} sh sdk/javascript/build.sh engine.wasm; } && ${LOCKSTEP:-lockstep} bundle engine.wasm guest.js guest.wasm",
		needs: "npm install --ignore-scripts in the project, for the source of QuickJS, and once, to compile that, clang with wasi-libc; on Debian: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32",
	},
	{
		name: "rust", source: "rust/counter.rs", main: "guest.rs", sdk: map[string]string{"rust": "sdk"},
		files: map[string]string{"Cargo.toml": cargo},
		build: "cargo build --release --quiet --target wasm32-unknown-unknown && cp target/wasm32-unknown-unknown/release/guest.wasm .",
		needs: "cargo, and rustup target add wasm32-unknown-unknown; or on Debian: cargo libstd-rust-dev-wasm32 lld",
	},
	{
		name: "wat", source: "wat/counter.wat", main: "guest.wat",
		build: "wat2wasm --debug-names guest.wat -o guest.wasm",
		needs: "wat2wasm; on Debian: wabt",
	},
	{
		name: "zig", source: "zig/counter.zig", main: "guest.zig", sdk: map[string]string{"zig": "sdk"},
		build: "${ZIG:-zig} build-lib guest.zig --mod lockstep::sdk/lockstep.zig --deps lockstep -target wasm32-freestanding -dynamic -rdynamic -OReleaseSmall -fstrip --stack 65536 -femit-bin=guest.wasm",
		needs: "Zig 0.11",
	},
}

// Languages are the names of those that a project can be begun in.
func Languages() []string {
	var names []string
	for _, l := range languages {
		names = append(names, l.name)
	}
	return names
}

// aliases are what people call languages too.
var aliases = map[string]string{"golang": "go", "rs": "rust", "js": "javascript", "c++": "cpp", "cxx": "cpp", "ts": "assemblyscript", "as": "assemblyscript", "typescript": "assemblyscript", "wasm": "wat"}

func lookup(name string) (language, error) {
	name = strings.ToLower(name)
	if known, ok := aliases[name]; ok {
		name = known
	}
	i := slices.IndexFunc(languages, func(l language) bool { return l.name == name })
	if i < 0 {
		return language{}, fmt.Errorf("there is no project in %q: want one of %s", name, strings.Join(Languages(), ", "))
	}
	return languages[i], nil
}
