// Package spec runs the WebAssembly specification's own test suite on modules
// as they are and as they are instrumented, on both of wazero's engines.
package spec
