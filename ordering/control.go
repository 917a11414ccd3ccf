package ordering

import "bytes"

// ControlMagic begins the data of control inputs, which change what a machine is:
// its guest, its members. All other data is opaque here.
const ControlMagic = "LSC1"

// IsControl tells whether data is a control input. A log takes those apart from other
// entries, so that it can be said who may append them.
func IsControl(data []byte) bool { return bytes.HasPrefix(data, []byte(ControlMagic)) }
