// Package settings fills a configuration struct from a TOML file, environment
// variables and flags. Each field is one key of the file (its toml tag), one
// variable (LOCKSTEP_ and the key in capitals) and one flag (the key with -
// for _), documented once by its comment tag. A path in the file (path tag) is relative to
// the file. Flags win over variables, and
// variables over the file.
package settings

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// Prefix of environment variables.
const Prefix = "LOCKSTEP_"

// Setting is one field of a configuration.
type Setting struct {
	Key     string
	Comment string
	Value   pflag.Value // reads and sets the field
}

// Env is the setting's environment variable.
func (s Setting) Env() string { return Prefix + strings.ToUpper(s.Key) }

// Flag is the setting's flag, without dashes.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// Of lists the settings of a struct that config points to.
func Of(config any) []Setting {
	v := reflect.ValueOf(config).Elem()
	list := make([]Setting, 0, v.NumField())
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		list = append(list, Setting{Key: tag.Get("toml"), Comment: tag.Get("comment"), Value: field{v.Field(i), tag.Get("path") != ""}})
	}
	return list
}

// Register adds a flag for each setting. What is set by a flag is set in the
// struct that flags points to.
func Register(fs *pflag.FlagSet, flags any) {
	for _, s := range Of(flags) {
		usage, _, _ := strings.Cut(s.Comment, "\n")
		fs.Var(s.Value, s.Flag(), strings.TrimSuffix(usage, "."))
	}
}

// Load fills config, which holds the defaults, from the file if path is not
// empty, then from the environment, then from those flags in fs that were given.
func Load(config any, path string, lookup func(string) (string, bool), fs *pflag.FlagSet) error {
	if path != "" {
		if err := File(config, path); err != nil {
			return err
		}
	}
	for _, s := range Of(config) {
		if text, ok := lookup(s.Env()); ok && text != "" {
			if err := s.Value.Set(text); err != nil {
				return fmt.Errorf("environment variable %s: %w", s.Env(), err)
			}
		}
		if f := fs.Lookup(s.Flag()); f != nil && f.Changed {
			if err := s.Value.Set(f.Value.String()); err != nil {
				return fmt.Errorf("flag --%s: %w", s.Flag(), err)
			}
		}
	}
	return nil
}

// File fills config from a file. A key that config does not have is an error that
// names the line and the key that was probably meant.
func File(config any, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err = d.Decode(config)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		return unknownKey(config, path, unknown)
	case errors.As(err, &wrong):
		row, _ := wrong.Position()
		return fmt.Errorf("%s line %d: %s\n%s", path, row, wrong.Error(), wrong.String())
	case err != nil:
		return fmt.Errorf("read configuration %s: %w", path, err)
	}
	return rebase(config, text, filepath.Dir(path))
}

// rebase makes paths that the file has (fields with a path tag) relative to the
// file's own folder, so that it can be used from anywhere.
func rebase(config any, text []byte, dir string) error {
	var has map[string]any
	if err := toml.Unmarshal(text, &has); err != nil {
		return err
	}
	for _, s := range Of(config) {
		f := s.Value.(field)
		if _, set := has[s.Key]; set && f.path && f.String() != "" && !filepath.IsAbs(f.String()) {
			f.v.SetString(filepath.Join(dir, f.String()))
		}
	}
	return nil
}

func unknownKey(config any, path string, unknown *toml.StrictMissingError) error {
	var keys []string
	for _, s := range Of(config) {
		keys = append(keys, s.Key)
	}
	e := unknown.Errors[0]
	row, _ := e.Position()
	key := strings.Join(e.Key(), ".")
	hint := "there are " + strings.Join(keys, ", ")
	if near := Nearest(key, keys); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return fmt.Errorf("%s line %d: there is no key %q: %s", path, row, key, hint)
}

// Write writes a configuration as a file with its comments.
func Write(w io.Writer, config any) error {
	for i, s := range Of(config) {
		if i > 0 {
			_, _ = io.WriteString(w, "\n")
		}
		for line := range strings.SplitSeq(s.Comment, "\n") {
			_, _ = fmt.Fprintln(w, "#", line)
		}
		if _, err := fmt.Fprintf(w, "%s = %s\n", s.Key, s.Value.(field).toml()); err != nil {
			return err
		}
	}
	return nil
}

// Values are the settings by their keys: strings, integers and lists of strings.
func Values(config any) map[string]any {
	all := make(map[string]any)
	for _, s := range Of(config) {
		f := s.Value.(field)
		switch list, isList := f.v.Interface().([]string); {
		case isList:
			all[s.Key] = append([]string{}, list...)
		case f.v.Kind() == reflect.Int && f.text() == nil:
			all[s.Key] = f.v.Int()
		default:
			all[s.Key] = f.String()
		}
	}
	return all
}

// field is one field of a struct as a flag's value.
type field struct {
	v    reflect.Value
	path bool
}

func (f field) toml() string {
	switch {
	case f.v.Kind() == reflect.Slice:
		quoted := make([]string, f.v.Len())
		for i := range quoted {
			quoted[i] = quote(f.v.Index(i).String())
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case f.v.Kind() == reflect.Int && f.text() == nil:
		return f.String()
	}
	return quote(f.String())
}

// quote is a basic string of TOML, which is one of JSON.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings have a form
	}
	return string(b)
}

func (f field) text() encoding.TextUnmarshaler {
	u, _ := f.v.Addr().Interface().(encoding.TextUnmarshaler)
	return u
}

// String is flag.Value's.
func (f field) String() string {
	if !f.v.IsValid() {
		return ""
	}
	if m, ok := f.v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	if list, ok := f.v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.v.Interface())
}

// Set is flag.Value's.
func (f field) Set(text string) error {
	if u := f.text(); u != nil {
		return u.UnmarshalText([]byte(text))
	}
	switch f.v.Kind() {
	case reflect.String:
		f.v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		f.v.SetInt(int64(n))
	case reflect.Slice:
		var list []string
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		f.v.Set(reflect.ValueOf(list))
	default:
		panic("settings: a field of kind " + f.v.Kind().String())
	}
	return nil
}

// Type is pflag.Value's.
func (f field) Type() string {
	switch {
	case f.text() != nil:
		return strings.ToLower(f.v.Type().Name())
	case f.v.Kind() == reflect.Slice:
		return "list"
	}
	return f.v.Kind().String()
}
