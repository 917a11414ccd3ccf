package description

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"lockstep/guests/sdk/go/cbor"
)

// maxDepth bounds nested arrays.
const maxDepth = 64

// FromJSON encodes a JSON value as CBOR: integers, strings, arrays, booleans and
// null as such, and {"hex": "00ff"} as a byte string.
func FromJSON(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse JSON: more than one value")
	}
	w := &cbor.Writer{}
	err := encode(w, v, 0)
	return w.Bytes, err
}

func encode(w *cbor.Writer, v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		w.Null()
	case bool:
		w.Bool(v)
	case string:
		w.Text(v)
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no integer of 64 bits", v)
		}
		w.Int(n)
	case []any:
		w.Array(len(v))
		for _, item := range v {
			if err := encode(w, item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		text, ok := v["hex"].(string)
		b, err := hex.DecodeString(text)
		if !ok || err != nil || len(v) != 1 {
			return errors.New(`an object has one form, {"hex": "00ff"}, a byte string`)
		}
		w.Data(b)
	}
	return nil
}

// ToJSON decodes one CBOR item to JSON, in the form that FromJSON takes.
func ToJSON(b []byte) ([]byte, error) {
	v, rest, err := decode(b, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the CBOR item", len(rest))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

var errCBOR = errors.New("not CBOR as guests write it")

// decode reads the item at the front. The readers of package cbor know what
// they want; here it is told by the first byte.
func decode(b []byte, depth int) (v any, rest []byte, err error) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, errCBOR
	}
	r := cbor.NewReader(b)
	switch b[0] >> 5 {
	case 0, 1:
		v = r.Int()
	case 2:
		v = map[string]string{"hex": hex.EncodeToString(r.Data())}
	case 3:
		s := r.Text()
		if !utf8.ValidString(s) {
			return nil, nil, errCBOR
		}
		v = s
	case 4:
		return decodeArray(r, depth)
	case 7:
		simple, ok := map[byte]any{0xf4: false, 0xf5: true, 0xf6: nil}[b[0]]
		if !ok {
			return nil, nil, errCBOR
		}
		return simple, b[1:], nil
	default:
		return nil, nil, errCBOR
	}
	if r.Bad() {
		return nil, nil, errCBOR
	}
	return v, r.Rest(), nil
}

func decodeArray(r *cbor.Reader, depth int) (any, []byte, error) {
	n := r.Array()
	if r.Bad() {
		return nil, nil, errCBOR
	}
	list, rest := make([]any, 0, min(n, 1024)), r.Rest()
	for range n {
		item, after, err := decode(rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		list, rest = append(list, item), after
	}
	return list, rest, nil
}
