// SPDX-License-Identifier: LGPL-2.1-or-later

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;

public class Kept {
        static void answer(HttpExchange exchange) throws IOException {
                byte[] body = (exchange.getRequestBody().readAllBytes().length + "\n").getBytes();
                boolean isHead = exchange.getRequestMethod().equals("HEAD");

                exchange.getResponseHeaders().set("X-Worker", "java");
                exchange.getResponseHeaders().set("X-Request", exchange.getRequestHeaders().getFirst("X-Request"));
                exchange.sendResponseHeaders(200, isHead ? -1 : body.length);
                if (!isHead)
                        exchange.getResponseBody().write(body);
                exchange.close();
        }

        public static void main(String[] arguments) throws IOException {
                HttpServer server = HttpServer.create(new InetSocketAddress(80), 0);

                server.createContext("/", Kept::answer);
                server.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(4));
                server.start();
        }
}
