// Behaviour of the ECP5 cells that boards/gearing.py uses, after Lattice's FPGA-TN-02035 (high-speed I/O) and
// FPGA-TN-02200 (clocks). Times in ns. Only what the tests need; not for synthesis.
`timescale 1ns / 1ps

module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
    parameter CLKOP_ENABLE = "", FEEDBK_PATH = ""
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
    output reg CLKOP, output reg LOCK
);
    initial begin CLKOP = 0; LOCK = 0; #150 LOCK = 1; end
    always #(5.0 * CLKI_DIV / CLKFB_DIV) CLKOP = ~CLKOP;  // CLKI is 100 MHz
endmodule

module ECLKSYNCB (input ECLKI, STOP, output ECLKO);
    reg go = 1;
    always @(negedge ECLKI) go <= ~STOP;
    assign ECLKO = ECLKI & go;
endmodule

module CLKDIVF #(parameter DIV = "2.0") (input CLKI, RST, ALIGNWD, output reg CDIVX);
    initial CDIVX = 0;
    always @(posedge CLKI or posedge RST) if (RST) CDIVX <= 0; else CDIVX <= ~CDIVX;
endmodule

// Both edges of ECLK sample; every second ECLK a word is complete and waits for SCLK. Which ECLK that is was decided
// when RST ended, so a reset that ends while ECLK runs can leave the pins apart.
module IDDRX2F (input D, ECLK, SCLK, RST, output reg Q0, Q1, Q2, Q3);
    reg rise, second = 0;
    reg [3:0] word = 0, update = 0;
    realtime last_edge = 0;
    always @(posedge ECLK) begin rise <= D; last_edge = $realtime; end
    always @(negedge ECLK) word <= {D, rise, word[3:2]};
    always @(posedge ECLK or posedge RST)
        if (RST) second <= 0;
        else begin second <= ~second; if (~second) update <= word; end
    always @(posedge SCLK) {Q3, Q2, Q1, Q0} <= update;
    always @(negedge RST)
        if ($realtime > 0 && $realtime - last_edge < 10) begin $display("RST ended while ECLK ran"); $fatal; end
endmodule

// A word that SCLK takes waits until the next one of every second ECLK, which are those of IDDRX2F; then its levels go out
// at both edges of ECLK, D0 first.
module ODDRX2F (input D0, D1, D2, D3, ECLK, SCLK, RST, output Q);
    reg second = 0;
    reg [3:0] word = 0, shift = 0;
    always @(posedge SCLK) word <= {D3, D2, D1, D0};
    always @(posedge ECLK or posedge RST)
        if (RST) begin second <= 0; shift <= 0; end
        else begin second <= ~second; shift <= second ? word : shift >> 2; end
    reg low = 0;
    always @(negedge ECLK) low <= shift[1];
    assign Q = ECLK ? shift[0] : low;
endmodule

module GSR (input GSR);  // registers begin with their initial values anyhow, and forget nothing that matters here
endmodule
