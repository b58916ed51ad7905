/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * MESSAGE_ID= of journal entries that an administrator should see (sd_journal_send(3)). Each has a paragraph in
 * src/catalog/fdpass.catalog, which `journalctl -x` shows. A test compares the catalog with this list.
 *
 * An id is random (systemd-id128 new). It never changes and is never used for another entry.
 */

/* Workers */
#define MESSAGE_WORKER_GONE          "ad5eedfe4808417a9413da60277ea636"
#define MESSAGE_WORKER_BACK          "ef02592fa31c4f8588e947c8da269f69"
#define MESSAGE_WORKER_STUCK         "ff144853759e4cb09b8a08390f6f6573"
#define MESSAGE_WORKER_GOES_ON       "24ff946946fb45b29624d07364ad53db"
#define MESSAGE_WORKER_UNREAD        "01a333f5a9494fe699de84ed0d46dfe4"
#define MESSAGE_WORKER_HANGS         "a88e51cdc09045aca9f5873a85a17ad3"
#define MESSAGE_WORKER_HANGS_NO_MORE "3279f5ff17074b6d8ec25144622e82eb"

/* Clients that get no worker */
#define MESSAGE_QUEUE_FULL           "76b5dcd3cec54e40aa2751c95eac054e"
#define MESSAGE_QUEUE_TIMEOUT        "ce069606efb449ad95113c37e215c90e"
#define MESSAGE_NO_ROUTE             "f721a72d550043de86a672db378f159d"
#define MESSAGE_LIMIT                "c90cbf83d2de47c3a245bc66a709ff29"
#define MESSAGE_REFUSED              "c6e0db77eac74d52ba6c9fa3a438dffd"
#define MESSAGE_PARKED_ENDED         "b88dbf642fc54be8ab2c6c9e89ad509a"

/* The broker's own limits */
#define MESSAGE_NO_RESOURCES         "58af1eb3bb9e442c8b48985c1ae28cce"
#define MESSAGE_ACCEPT_FAILED        "539c6baf7c184415bc062673332a8e96"
#define MESSAGE_BROKER_FULL          "5886964edf224a18a4713e465b860646"
#define MESSAGE_ACCEPTS_AGAIN        "a05fab48f61645809b3b898b17ba7924"
#define MESSAGE_LOG_DROPPED          "9063540310904cfcab3e51cb9113b01f"

#define MESSAGE_HELPER_HANGS         "26d84ea61d8e431c8efbf7a4d0cba75f"
#define MESSAGE_HELPER_FAILED        "9daac6475b8e47339a5de111fa5d4ca0"

/* Connections */
#define MESSAGE_CONNECTION_ENDED     "b98446512df64df7b102e580df68f1bc"
#define MESSAGE_CONNECTION_UNSEEN    "987ed1916ed84d0e9f35784bcaba71fc"
#define MESSAGE_REPORTS_LOST         "0ce53e1bdc6842d383b52fae4663e64c"

/* Units */
#define MESSAGE_UNIT_ERROR           "850fcd5519b74710be8b8843726e4b95"
#define MESSAGE_UNIT_WARNING         "cbcfed9a217347cdb23e2d79e27bdc5c"
#define MESSAGE_UNIT_LINT            "d32ec22afd47410887e49659b6bd0dc6"
#define MESSAGE_NO_UNITS             "1eab502d0a4a4531a82658b009e7d840"
#define MESSAGE_RELOAD_FAILED        "7ec60d72bdeb4aaab195730b93735866"
#define MESSAGE_UNKNOWN_LISTENER     "2a57ec8bc6264bf99f4fe6d6bde4beb9"
#define MESSAGE_UNKNOWN_FAILURE_ROUTE "2bd2de2c43654fe885e1a20eb09f1d6e"

/* Start and stop */
#define MESSAGE_NO_SOCKET            "26438d4ce7ea4c9a8dff51d0030e295c"
#define MESSAGE_SOCKET_IGNORED       "06832aed22e7486587838d857447304c"
#define MESSAGE_STOPPED_EARLY        "d570005a1004451dbc40eb69a50d3356"
#define MESSAGE_HANDOVER_FAILED      "8fbf525ab2a84673b48ccc2a85389bb3"
#define MESSAGE_HOST_DRAINED         "836b94538fa0481eabccb5996f35828c"
#define MESSAGE_HOST_UNDRAINED       "f788766a670e4522ab72aa94ca8f4e8f"

/* The return socket */
#define MESSAGE_RETURN_REFUSED       "c7cdff3c717a436f8a1c8e3c0c15da7d"
