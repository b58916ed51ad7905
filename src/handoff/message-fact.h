/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The facts of a message that are runs of bytes, and the constants that encoder and decoder share. */

#include "handoff/message.h"
#include "probe/proxy.h"

#define MESSAGE_RESPONSE_SIZE 6

/* Version 2, command PROXY. */
#define MESSAGE_VERSION_COMMAND 0x21

/* Family and transport. */
enum {
        MESSAGE_FAMILY_UNSPEC = 0x00,
        MESSAGE_FAMILY_TCP4 = 0x11,
        MESSAGE_FAMILY_TCP6 = 0x21,
};

typedef enum MessageFactKind {
        MESSAGE_FACT_OPAQUE,
        MESSAGE_FACT_TEXT,
        MESSAGE_FACT_SSL,
        MESSAGE_FACT_TLVS,
} MessageFactKind;

/* A TLV whose value is a Slice of Message. */
typedef struct MessageFact {
        uint8_t type;
        MessageFactKind kind;
        size_t max;    /* bytes */
        size_t offset; /* of the Slice in Message */
} MessageFact;

#define MESSAGE_N_FACTS 13

/* In the order in which they are sent. */
extern const MessageFact message_facts[MESSAGE_N_FACTS];

static inline const Slice *message_fact_value(const MessageFact *fact, const Message *m) {
        return (const Slice *) (const void *) ((const char *) m + fact->offset);
}

/* Checks the form of a value, but not its length. */
bool message_fact_is_valid(const MessageFact *fact, Slice value);
