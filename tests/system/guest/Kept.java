// SPDX-License-Identifier: LGPL-2.1-or-later

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Objects;

public class Kept {
        static void answer(HttpExchange exchange) throws IOException {
                String tag = Objects.toString(exchange.getRequestHeaders().getFirst("X-Request"), "");
                ByteArrayOutputStream body = new ByteArrayOutputStream();
                boolean isHead = exchange.getRequestMethod().equals("HEAD");

                body.write((tag + "\n").getBytes());
                exchange.getRequestBody().transferTo(body);

                exchange.getResponseHeaders().set("X-Worker", "java");
                exchange.getResponseHeaders().set("X-Request", tag);
                exchange.getResponseHeaders().set("X-Echo", "yes");
                exchange.sendResponseHeaders(200, isHead ? -1 : body.size());
                if (!isHead)
                        body.writeTo(exchange.getResponseBody());
                exchange.close();
        }

        public static void main(String[] arguments) throws IOException {
                HttpServer server = HttpServer.create(new InetSocketAddress(80), 0);

                server.createContext("/", Kept::answer);
                server.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(4));
                server.start();
        }
}
