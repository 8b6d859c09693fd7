#!/usr/bin/env bash
# ghostscript: pages with text, shadings, patterns and transparency come out the same, pixel for pixel; also in bands,
# with rendering threads, as text, and through PDF and back.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GS gs

cat >page.ps <<'PS'
%!PS-Adobe-3.0
/Times-Roman findfont 11 scalefont setfont
1 1 4 { /page exch def
    0 1 55 { /row exch def
        72 750 row 12 mul sub moveto
        (Page ) show page 10 string cvs show ( row ) show row 10 string cvs show
        page row mul { (.) show } repeat
    } for
    gsave 300 400 translate
    0 10 350 { gsave dup rotate dup 360 div 0.7 0.9 sethsbcolor 0 0 moveto 150 20 lineto 150 -20 lineto closepath fill
        grestore pop } for
    grestore
    << /ShadingType 2 /ColorSpace /DeviceRGB /Coords [100 100 400 300] /Extend [true false]
       /Function << /FunctionType 2 /Domain [0 1] /C0 [1 0 0] /C1 [0 0 1] /N 1.5 >> >> shfill
    /big 2000 dict def 0 1 1999 { dup 20 string cvs cvn exch 100 string big 3 1 roll put } for
    gsave 50 50 translate 200 100 scale
    64 64 8 [64 0 0 64 0 0] { currentfile 0 pop pop 64 string 0 1 63 { 2 copy dup 4 mul page mul 255 and put pop } for } image
    grestore
    /Helvetica-Bold findfont 60 scalefont setfont
    100 600 moveto (Outline) true charpath 2 setlinewidth stroke
    /Times-Roman findfont 11 scalefont setfont
    showpage
} for
PS
run_both_ok pixels "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=ppmraw -r72 -sOutputFile=- page.ps
run_both_ok bands "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=ppmraw -r100 -dNumRenderingThreads=2 -dMaxBitmap=1000 \
    -dBufferSpace=600000 -dTextAlphaBits=4 -dGraphicsAlphaBits=4 -sOutputFile=- page.ps
run_both_ok text "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=txtwrite -sOutputFile=- page.ps
grep -q 'Page 4 row 55' text.preloaded.out

# PDF holds the date and an identifier: compare its picture.
"$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=plain.pdf page.ps
preloaded "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=preloaded.pdf page.ps
"$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=pgmraw -r50 -sOutputFile=plain.pgm plain.pdf
preloaded "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=pgmraw -r50 -sOutputFile=preloaded.pgm preloaded.pdf
assert_same plain.pgm preloaded.pgm

# An error in the page is reported alike.
echo '%! 1 0 div showpage' >broken.in
run_both broken "$GS" -q -dSAFER -dBATCH -dNOPAUSE -sDEVICE=nullpage -
