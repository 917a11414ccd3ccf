// Package payload turns what a person types into the bytes of an input, and
// the bytes of an output into what a person reads.
package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lockstep/guests/description"
	"lockstep/wasmabi"
)

// Forms are the names of how bytes are written. JSON is typed and shown as
// JSON, and travels as CBOR.
var Forms = []string{"text", "hex", "base64", "json"}

// Read returns the bytes that an argument means: itself, or with @ the file
// that it names, or with - standard input, in a form.
func Read(arg, form string, stdin io.Reader) ([]byte, error) {
	text := []byte(arg)
	switch {
	case arg == "-":
		var err error
		if text, err = limited(stdin); err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		if text, err = limited(f); err != nil {
			return nil, fmt.Errorf("read %s: %w", arg[1:], err)
		}
	}
	return Parse(text, form)
}

// Word returns the bytes that a word of a script or at a prompt means: itself,
// or after hex: or json: those that follow.
func Word(word string) ([]byte, error) {
	for _, form := range []string{"hex", "json"} {
		if rest, ok := strings.CutPrefix(word, form+":"); ok {
			return Parse([]byte(rest), form)
		}
	}
	return []byte(word), nil
}

// ShownFor is the form to show the answer to a word in: who asked in JSON is answered in JSON.
func ShownFor(word string) string {
	if strings.HasPrefix(word, "json:") {
		return "auto-json"
	}
	return "auto"
}

// limited reads no more than an input in its longest form may have.
func limited(r io.Reader) ([]byte, error) {
	const most = 8 * wasmabi.MaxInput
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(text) > most {
		return nil, fmt.Errorf("more than %d bytes: an input has at most %d", most, wasmabi.MaxInput)
	}
	return text, err
}

// Parse reads bytes in a form.
func Parse(text []byte, form string) ([]byte, error) {
	switch form {
	case "text":
		return text, nil
	case "hex":
		b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			return nil, fmt.Errorf("input is not hex: %w", err)
		}
		return b, nil
	case "base64":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			return nil, fmt.Errorf("input is not base64: %w", err)
		}
		return b, nil
	case "json":
		return fromJSON(text)
	}
	return nil, fmt.Errorf("form is %q: want one of %s", form, strings.Join(Forms, ", "))
}

func fromJSON(text []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("input is not JSON: it is empty")
	}
	b, err := description.FromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("input is not JSON: %w", err)
	}
	return b, nil
}

// Show writes bytes in a form. "auto" is text where they are printable, and
// else a hex dump; "auto-json" is JSON where they are CBOR, and else as auto; "raw"
// is the bytes themselves, with nothing added.
func Show(w io.Writer, b []byte, form string) (err error) {
	switch form {
	case "raw":
		_, err = w.Write(b)
	case "auto-json":
		if text, err := toJSON(b); err == nil {
			return line(w, text)
		}
		return Show(w, b, "auto")
	case "auto":
		if Printable(b) {
			return line(w, string(b))
		}
		_, err = io.WriteString(w, hex.Dump(b))
	case "text":
		return line(w, string(b))
	case "hex":
		return line(w, hex.EncodeToString(b))
	case "base64":
		return line(w, base64.StdEncoding.EncodeToString(b))
	case "json":
		text, err := toJSON(b)
		if err != nil {
			return err
		}
		return line(w, text)
	default:
		return CheckShown(form)
	}
	return err
}

// CheckShown refuses a form that Show has not.
func CheckShown(form string) error {
	if form == "auto" || form == "raw" || slices.Contains(Forms, form) {
		return nil
	}
	return fmt.Errorf("form is %q: want auto, raw or one of %s", form, strings.Join(Forms, ", "))
}

func line(w io.Writer, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func toJSON(b []byte) (string, error) {
	text, err := description.ToJSON(b)
	if err != nil {
		return "", fmt.Errorf("output is not CBOR: %w: show it with --output hex", err)
	}
	return string(text), nil
}

// Printable reports whether bytes are text that a terminal bears.
func Printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}
