package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxElements is how many messages and items of lists one message may hold, at all depths. An empty one takes two bytes on the wire
// and a hundred in memory, so that the limit on bytes alone would not keep a process's memory in bounds.
const MaxElements = 1 << 20

// checkElements takes from what is left before anything is allocated. What is not protobuf is left to the decoder.
func checkElements(m proto.Message, data []byte, left *int) error {
	if countElements(m.ProtoReflect().Descriptor(), data, left); *left < 0 {
		return fmt.Errorf("a message of more than %d elements", MaxElements)
	}
	return nil
}

func countElements(d protoreflect.MessageDescriptor, data []byte, left *int) {
	for len(data) > 0 && *left >= 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return
		}
		value := data[:n]
		data = data[n:]
		field := d.Fields().ByNumber(number)
		if field == nil || kind != protowire.BytesType {
			continue
		}
		if field.Message() != nil || field.IsList() {
			*left--
		}
		if inner, n := protowire.ConsumeBytes(value); n > 0 && field.Message() != nil {
			countElements(field.Message(), inner, left)
		}
	}
}
