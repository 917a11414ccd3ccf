package instrument

import "math"

// writer builds bytes.
type writer struct{ buf []byte }

func (w *writer) byte(b byte)    { w.buf = append(w.buf, b) }
func (w *writer) bytes(b []byte) { w.buf = append(w.buf, b...) }

func (w *writer) u32(v uint32) {
	for v >= 0x80 {
		w.buf = append(w.buf, byte(v)|0x80)
		v >>= 7
	}
	w.buf = append(w.buf, byte(v))
}

func (w *writer) s64(v int64) {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			w.buf = append(w.buf, b)
			return
		}
		w.buf = append(w.buf, b|0x80)
	}
}

func (w *writer) name(s string) {
	w.u32(uint32(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) local(op byte, i uint32)  { w.byte(op); w.u32(i) }
func (w *writer) global(op byte, i uint32) { w.byte(op); w.u32(i) }

func (w *writer) section(id byte, content []byte) {
	w.byte(id)
	w.u32(uint32(len(content)))
	w.bytes(content)
}

func (m *module) gasGlobal() uint32     { return uint32(len(m.globals)) }
func (m *module) stackGlobal() uint32   { return uint32(len(m.globals)) + 1 }
func (m *module) reserveGlobal() uint32 { return uint32(len(m.globals)) + 2 }

// blockType writes the type of a block that gives these results. One of
// several results needs a type of its own, which is added to the module's.
func (m *module) blockType(w *writer, results []byte) {
	switch len(results) {
	case 0:
		w.byte(0x40)
	case 1:
		w.byte(results[0])
	default:
		w.s64(int64(m.typeFor(nil, results)))
	}
}

func (m *module) typeFor(params, results []byte) int {
	for i, t := range m.types {
		if string(t.params) == string(params) && string(t.results) == string(results) {
			return i
		}
	}
	m.types = append(m.types, funcType{params, results})
	return len(m.types) - 1
}

// encode writes the module with its new code.
func (m *module) encode(info *Module, codes [][]byte) []byte {
	w := &writer{buf: make([]byte, 0, len(m.raw[secCode])*3/2+len(m.raw[secData])+1024)}
	w.bytes([]byte("\x00asm\x01\x00\x00\x00"))
	w.section(secType, m.encodeTypes())
	keep := func(id int) {
		if m.raw[id] != nil {
			w.section(byte(id), m.raw[id])
		}
	}
	keep(secImport)
	if n := len(m.funcs) + len(m.added); n > 0 {
		var s writer
		s.u32(uint32(n))
		for _, t := range m.funcs {
			s.u32(t)
		}
		for _, a := range m.added {
			s.u32(a.typ)
		}
		w.section(secFunction, s.buf)
	}
	keep(secTable)
	if m.memory != nil {
		var s writer
		s.bytes([]byte{1, 1})
		s.u32(info.InitialPages)
		s.u32(info.MaxPages + 1) // for the host, which shrinks by growing: see the engine
		w.section(secMemory, s.buf)
	}
	w.section(secGlobal, m.encodeGlobals())
	w.section(secExport, m.encodeExports(info))
	keep(secElement)
	keep(secDataCount)
	if len(codes) > 0 {
		size := 0
		for _, c := range codes {
			size += len(c)
		}
		s := writer{buf: make([]byte, 0, size+1024)}
		s.u32(uint32(len(codes) + len(m.added)))
		for _, c := range codes {
			s.bytes(c)
		}
		for _, a := range m.added {
			s.u32(uint32(len(a.body)))
			s.bytes(a.body)
		}
		w.section(secCode, s.buf)
	}
	keep(secData)
	info.named = len(w.buf)
	if m.nameSection != nil {
		w.section(secCustom, m.nameSection.data)
	}
	return w.buf
}

func (m *module) encodeTypes() []byte {
	var s writer
	s.u32(uint32(len(m.types)))
	for _, t := range m.types {
		s.byte(0x60)
		s.u32(uint32(len(t.params)))
		s.bytes(t.params)
		s.u32(uint32(len(t.results)))
		s.bytes(t.results)
	}
	return s.buf
}

// encodeGlobals adds gas, stack and reserve. The first two begin full, so that a host that does
// not meter can run the module too.
func (m *module) encodeGlobals() []byte {
	var s writer
	s.u32(uint32(len(m.globals) + 3 + len(m.dropped)))
	for _, g := range m.globals {
		s.byte(g.typ)
		s.byte(map[bool]byte{true: 1}[g.mutable])
		s.bytes(g.init)
	}
	s.bytes([]byte{typeI64, 1, 0x42})
	s.s64(math.MaxInt64)
	s.bytes([]byte{0x0b, typeI32, 1, 0x41})
	s.s64(MaxDepth)
	s.bytes([]byte{0x0b, typeI64, 1, 0x42, 0, 0x0b})
	for range len(m.dropped) {
		s.bytes([]byte{typeI32, 1, 0x41, 0, 0x0b})
	}
	return s.buf
}

func (m *module) encodeExports(info *Module) []byte {
	var list []export
	list = append(list, m.exports...)
	list = append(list, export{name: ExportGas, kind: 3, index: m.gasGlobal()}, export{name: ExportStack, kind: 3, index: m.stackGlobal()},
		export{name: ExportReserve, kind: 3, index: m.reserveGlobal()})
	for _, g := range info.Globals {
		list = append(list, export{name: g.Name, kind: 3, index: g.index})
	}
	if info.HasStart {
		list = append(list, export{name: ExportStart, kind: 0, index: uint32(m.start)})
	}
	var s writer
	s.u32(uint32(len(list)))
	for _, e := range list {
		s.name(e.name)
		s.byte(e.kind)
		s.u32(e.index)
	}
	return s.buf
}
