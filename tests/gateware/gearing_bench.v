// Three pins rise and fall between sampling instants, 1.25 ns apart. Every word is printed: pin 2, pin 1, pin 0; and once a
// subtick what the outputs are that are driven with these samples.
`timescale 1ns / 1ps

module bench;
    reg clock = 0, reset = 0;
    reg [2:0] pins = 0;
    wire [11:0] samples;
    wire [2:0] outs;
    wire system_clock, edge_reset;
    integer i;

    gearing dut (.board_clock(clock), .board_reset(reset), .pin0(pins[0]), .pin1(pins[1]), .pin2(pins[2]),
                 .out0(outs[0]), .out1(outs[1]), .out2(outs[2]), .samples(samples), .system_clock(system_clock), .edge_reset(edge_reset));

    always #5 clock = ~clock;
    always @(posedge system_clock) if (!edge_reset) $display("word %b %b %b", samples[11:8], samples[7:4], samples[3:0]);

    initial begin
        #0.6;
        forever #1.25 if (!edge_reset) $display("out %b", outs);
    end

    initial begin
        wait (!edge_reset);
        if ($test$plusargs("press")) begin
            #100 reset = 1; #100 reset = 0;
            wait (edge_reset); wait (!edge_reset);
        end
        repeat (20) @(posedge system_clock);
        for (i = 0; i < 8; i = i + 1) begin
            // pulse i lasts 7 samples and begins i samples after a clock; pin 2 follows by one sample
            @(posedge system_clock); #0.3; #(1.25 * i);
            pins[1:0] = 2'b11; #1.25 pins[2] = 1; #(6 * 1.25) pins[1:0] = 0; #1.25 pins[2] = 0;
            repeat (4) @(posedge system_clock);
        end
        $finish;
    end

    initial #30000 begin $display("the bench hangs"); $fatal; end
endmodule
