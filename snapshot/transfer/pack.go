package transfer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"lockstep/snapshot"
)

// compression is shared: both are safe for concurrent use by EncodeAll and
// DecodeAll. The digest of a page tells what a checksum would.
var compress, decompress = codecs()

func codecs() (*zstd.Encoder, *zstd.Decoder) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxReplyWire))
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Pack makes the zstd frame in which a page or a part of a blob travels. It
// tells the size of what is in it.
func Pack(data []byte) []byte { return compress.EncodeAll(data, nil) }

// asItIs is how the frame begins of a page that cannot be compressed, whose bytes follow: the magic, what the
// header says (one segment, a size of 4,096), and that of the last block (of 4,096 bytes, not compressed).
var asItIs = []byte("\x28\xb5\x2f\xfd\x60\x00\x0f\x01\x80\x00")

// unpackPage reads the frame of a page, which is then a part of it or else in a buffer, which must be empty and have
// room for it.
func unpackPage(frame, into []byte) ([]byte, error) {
	if page, ok := bytes.CutPrefix(frame, asItIs); ok && len(page) == snapshot.PageSize {
		return page, nil
	}
	return unpack(frame, into, snapshot.PageSize)
}

var errFrame = errors.New("no zstd frame of the expected size")

// unpack reads a frame of at most limit bytes into a buffer, which must be
// empty and have room for them.
func unpack(frame, into []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil || !h.HasFCS || h.FrameContentSize > uint64(limit) {
		return nil, errFrame
	}
	raw, err := decompress.DecodeAll(frame, into)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(raw) > limit { // more frames than one
		return nil, errFrame
	}
	return raw, nil
}
